use super::super::{Before, append, beginning};
use super::*;

const NODE: &str = "node1";

/// A device that writes to files in memory.
struct Writer {
    files: Vec<Vec<Vec<u8>>>,
    link: Link,
}

impl Writer {
    fn new() -> Self {
        let mut writer = Self { files: vec![Vec::new()], link: Link::before_first([1; 16]) };
        writer.begin(false);
        writer
    }

    fn push(&mut self, object: &[u8]) {
        let (line, link) = append(&self.link, object);
        self.link = link;
        self.files.last_mut().unwrap().push(line);
    }

    /// Begins in the present file, behind what is there.
    fn begin(&mut self, is_torn: bool) {
        let whole = self.files.last().unwrap().iter().rev().find_map(|line| split(line));
        let before = Before { last: whole.map(|(_, link)| link), is_torn };
        let line = beginning("2026-01-01T00:00:00Z", NODE, "file/", &self.link, &before);
        self.push(&line);
    }

    fn records(&mut self, number: usize) {
        for number in 0..number {
            let path = format!("secret/data/{number}");
            self.push(
                format!(r#"{{"time":"2026-01-01T00:00:00Z","type":"request","request":{{"path":"{path}"}}}}"#)
                    .as_bytes(),
            );
        }
    }

    fn rotate(&mut self) {
        self.files.push(Vec::new());
        self.begin(false);
    }

    fn restart(&mut self, id: u8) {
        self.link = Link::before_first([id; 16]);
        self.begin(false);
    }
}

/// Three chains in two files, and what the cluster committed of them.
fn written() -> (Vec<Vec<Vec<u8>>>, Vec<Head>) {
    let mut writer = Writer::new();
    let mut heads = Vec::new();
    writer.records(20);
    heads.push(writer.link);
    writer.restart(2);
    writer.records(10);
    writer.rotate();
    writer.records(15);
    heads.push(writer.link);
    writer.restart(3);
    writer.records(20);
    heads.push(writer.link);
    let last = heads.len() - 1;
    let head = |(at, link)| Head { node: NODE.into(), link, is_newest: at == last, is_expected: at == last };
    (writer.files, heads.into_iter().enumerate().map(head).collect())
}

fn verify(files: &[Vec<Vec<u8>>], heads: Vec<Head>, is_part: bool) -> Vec<Finding> {
    let mut verifier = Verifier::new(heads);
    for lines in files {
        let mut bytes = lines.join(&b'\n');
        bytes.push(b'\n');
        verifier.read(bytes.as_slice()).unwrap();
    }
    verifier.finish(is_part)
}

/// Numbers that repeat for a seed (Knuth, MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Links a file's lines anew from one on, as somebody would who knows how.
fn relink(files: &mut [Vec<Vec<u8>>], file: usize, from: usize) {
    let lines = &mut files[file];
    let mut before = split(&lines[from]).unwrap().1;
    let end = lines.len();
    for line in &mut lines[from + 1..end] {
        let (text, link) = split(line).map(|(text, link)| (text.to_vec(), link)).unwrap();
        if link.id != before.id {
            return;
        }
        (*line, before) = append(&before, &[&text[..], b"}"].concat());
    }
}

/// Does one thing to the files that should show.
fn manipulate(files: &mut [Vec<Vec<u8>>], kind: usize, numbers: &mut Numbers) {
    let file = numbers.below(files.len());
    let line = numbers.below(files[file].len() - 1);
    let edit = |line: &mut Vec<u8>| {
        let at = line.iter().position(|byte| *byte == b'2').unwrap();
        line[at] = b'3';
    };
    match kind {
        0 => {
            let at = numbers.below(files[file][line].len());
            files[file][line][at] ^= 1 << numbers.below(7);
        }
        1 => drop(files[file].remove(line)),
        2 => files[file].swap(line, line + 1),
        3 => {
            let copy = files[file][line].clone();
            files[file].insert(numbers.below(line + 1), copy);
        }
        4 => {
            let lines = &mut files[1];
            let kept = lines.len() - 1 - numbers.below(lines.len() - 1);
            lines.truncate(kept);
        }
        5 => {
            let forged = append(&split(&files[file][line]).unwrap().1, br#"{"time":"t","type":"request"}"#).0;
            files[file].insert(line + 1, forged);
        }
        6 => {
            let (text, link) = split(&files[file][line]).map(|(text, link)| (text.to_vec(), link)).unwrap();
            let is_before = |other: &Link| (other.id, other.number + 1) == (link.id, link.number);
            let before = files.iter().flatten().map(|line| split(line).unwrap().1).find(is_before);
            let mut object = [&text[..], b"}"].concat();
            edit(&mut object);
            files[file][line] = append(&before.unwrap_or(Link::before_first(link.id)), &object).0;
            relink(files, file, line);
        }
        7 => {
            let last = files[1].last_mut().unwrap();
            let kept = numbers.below(last.len() - 1) + 1;
            last.truncate(kept);
        }
        8 => drop(files[file].drain(..=line)),
        _ => {
            let chain = split(&files[file][line]).unwrap().1.id;
            files.iter_mut().for_each(|lines| lines.retain(|line| split(line).unwrap().1.id != chain));
        }
    }
}

#[test]
fn what_was_written_has_no_fault() {
    let (files, heads) = written();
    assert_eq!(verify(&files, heads.clone(), false), []);
    assert_eq!(verify(&files[1..], heads.clone(), false), [], "a file that begins in the middle of a chain");
    assert_eq!(verify(&files[..1], heads, true), [], "files that others follow");
}

#[test]
fn each_of_two_hundred_manipulations_is_found() {
    // check 221
    for seed in 0..200 {
        let (mut files, heads) = written();
        let before = files.clone();
        manipulate(&mut files, seed % 10, &mut Numbers(seed as u64));
        assert_ne!(before, files, "seed {seed}");
        assert_ne!(verify(&files, heads, false), [], "seed {seed}, kind {}", seed % 10);
    }
}

#[test]
fn a_cut_tail_shows_by_the_committed_heads_alone() {
    let (mut files, heads) = written();
    files[1].truncate(30);
    assert_eq!(verify(&files, Vec::new(), false), []);
    let findings = verify(&files, heads.clone(), false);
    assert_eq!(findings.iter().map(|finding| &finding.fault).collect::<Vec<_>>(), [&Fault::CutTail]);
    files[1].truncate(5);
    let findings = verify(&files, heads, false);
    assert_eq!(findings.iter().map(|finding| &finding.fault).collect::<Vec<_>>(), [&Fault::CutTail, &Fault::Absent]);
}

#[test]
fn half_a_line_that_a_crash_left_is_explained_by_what_was_begun_behind_it() {
    let mut writer = Writer::new();
    writer.records(3);
    writer.files[0].push(b"{\"time\":\"2026-0".to_vec());
    writer.link = Link::before_first([9; 16]);
    writer.begin(true);
    writer.records(3);
    assert_eq!(verify(&writer.files, Vec::new(), false), []);
    writer.files[0].remove(4);
    assert_eq!(verify(&writer.files, Vec::new(), false)[0].fault, Fault::Gap);
}

#[test]
fn lines_of_a_chain_of_somebody_s_own_are_found_wherever_they_stand() {
    let (files, heads) = written();
    let faults = |files: &[Vec<Vec<u8>>], heads: &[Head]| -> Vec<Fault> {
        verify(files, heads.to_vec(), false).into_iter().map(|finding| finding.fault).collect()
    };
    let forged = append(&Link::before_first([66; 16]), br#"{"time":"t","type":"request"}"#).0;
    let last = files[1].len();
    for (file, line) in [(0, 5), (0, 25), (1, 3), (1, 20), (1, last)] {
        let mut files = files.clone();
        files[file].insert(line, forged.clone());
        assert_eq!(faults(&files, &heads), [Fault::Unseen], "{file}:{line}");
        assert_eq!(faults(&files, &[]), [], "offline nobody can tell");
    }
    // Behind the end of a chain that is over.
    let mut files = files;
    let end = append(&heads[0].link, br#"{"time":"t","type":"request"}"#).0;
    files[1].insert(20, end);
    assert_eq!(faults(&files, &heads), [Fault::Unseen]);
}

#[test]
fn what_was_never_committed_is_vouched_for_by_who_wrote_behind_it() {
    let (files, heads) = written();
    // The second chain, and the end of the first, as of a node that was sealed or killed.
    let mut first = heads[0].clone();
    first.link = split(&files[0][10]).unwrap().1;
    let verified = |heads: Vec<Head>| verify(&files, heads, false);
    assert_eq!(verified(vec![first, heads[2].clone()]), []);
    assert_eq!(verified(vec![heads[2].clone()]), []);
    let found = verify(&files[..1], vec![heads[2].clone()], true);
    assert!(found.iter().all(|finding| finding.fault == Fault::Unseen) && !found.is_empty());
}
