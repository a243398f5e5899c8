//! Histories in the forms that other checkers read: Jepsen's EDN (Knossos, Elle) and a list of operations for porcupine.
//!
//! Only what they have a model for is written: registers in both, append lists in EDN.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use crate::history::{Event, Function, Kind};

/// The registers and lists of a history as Jepsen writes it, one operation's event a line
/// (<https://github.com/jepsen-io/history>): `:read`, `:write` and `:cas` of a `[key value]`, and `:txn` with `:append` and `:r`
/// as Elle reads them (<https://github.com/jepsen-io/elle>).
pub fn edn(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let Some((function, value)) = operation(event) else { continue };
        let kind = match event.kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let Event { index, process, nanos, .. } = event;
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{{:index {index}, :process {process}, :time {nanos}, :type :{kind}, :f :{function}, :value {value}}}"
        );
    }
    text
}

/// The name of what is done, and its value.
fn operation(event: &Event) -> Option<(&'static str, String)> {
    let key = format!("\"{}\"", event.key);
    let number = |value: Option<u64>| value.map_or("nil".to_owned(), |value| value.to_string());
    match event.function {
        Function::Read => Some(("read", format!("[{key} [{} {}]]", number(event.version), number(event.value)))),
        Function::Write => Some(("write", format!("[{key} [{} {}]]", number(event.version), number(event.value)))),
        Function::Cas => Some(("cas", format!("[{key} [{} {}]]", number(event.expected), number(event.value)))),
        Function::Append => Some(("txn", format!("[[:append {key} {}]]", number(event.value)))),
        Function::Elements => {
            let list = event.list.as_ref().map_or("nil".to_owned(), |list| {
                let elements: Vec<_> = list.iter().map(ToString::to_string).collect();
                format!("[{}]", elements.join(" "))
            });
            Some(("txn", format!("[[:r {key} {list}]]")))
        }
        _ => None,
    }
}

/// The registers of a history as a list of operations: `ClientId`, `Input`, `Call`, `Output`, `Return`, the fields of
/// porcupine's `Operation` (<https://github.com/anishathalye/porcupine>). Times are places in the history. An operation whose
/// end nobody knows returns behind everything else; a read of that sort, and what certainly did not happen, is left out.
pub fn porcupine(events: &[Event]) -> String {
    let last = events.last().map_or(0, |event| event.index) + 1;
    let mut open: BTreeMap<u32, &Event> = BTreeMap::new();
    let mut operations = Vec::new();
    let is_load = |event: &&Event| matches!(event.function, Function::Read | Function::Write | Function::Cas);
    for event in events.iter().filter(is_load) {
        match event.kind {
            Kind::Invoke => drop(open.insert(event.process, event)),
            Kind::Info => {}
            Kind::Ok | Kind::Fail => {
                let Some(invoked) = open.remove(&event.process) else { continue };
                let is_mismatch = event.err.as_deref() == Some(crate::history::MISMATCH);
                if event.kind == Kind::Ok || is_mismatch {
                    operations.push(done(invoked, Some(event), event.index));
                }
            }
        }
    }
    operations.extend(open.values().filter(|it| it.function != Function::Read).map(|it| done(it, None, last)));
    operations.sort_by_key(|operation| operation["Call"].as_u64());
    serde_json::to_string_pretty(&operations).unwrap_or_default()
}

fn done(invoked: &Event, ended: Option<&Event>, returned: u64) -> serde_json::Value {
    let function = format!("{:?}", invoked.function).to_lowercase();
    json!({
        "ClientId": invoked.process,
        "Input": { "op": function, "key": invoked.key, "value": invoked.value, "expected": invoked.expected },
        "Call": invoked.index,
        "Output": {
            "known": ended.is_some(),
            "ok": ended.is_some_and(|event| event.kind == Kind::Ok),
            "version": ended.and_then(|event| event.version),
            "value": ended.and_then(|event| event.value),
        },
        "Return": returned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<Event> {
        let write = Event { value: Some(7), ..Event::new(1, 0, Function::Write, "k") };
        let lost = Event { value: Some(8), index: 2, ..Event::new(2, 0, Function::Write, "k") };
        let read = Event { index: 4, ..Event::new(3, 1, Function::Elements, "l") };
        vec![
            write.clone(),
            Event { kind: Kind::Ok, index: 1, version: Some(1), ..write },
            lost.clone(),
            Event { kind: Kind::Info, index: 3, ..lost },
            read.clone(),
            Event { kind: Kind::Ok, index: 5, list: Some(vec![1, 2]), ..read },
        ]
    }

    #[test]
    fn edn_has_a_line_for_each_event() {
        let edn = edn(&history());
        let lines: Vec<_> = edn.lines().collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[1], "{:index 1, :process 1, :time 0, :type :ok, :f :write, :value [\"k\" [1 7]]}");
        assert_eq!(lines[5], "{:index 5, :process 3, :time 0, :type :ok, :f :txn, :value [[:r \"l\" [1 2]]]}");
    }

    #[test]
    fn porcupine_gets_what_happened_and_what_may_have() {
        let operations: Vec<serde_json::Value> = serde_json::from_str(&porcupine(&history())).unwrap();
        assert_eq!(operations.len(), 2);
        assert_eq!((&operations[0]["Call"], &operations[0]["Return"]), (&json!(0), &json!(1)));
        assert_eq!((&operations[1]["Output"]["known"], &operations[1]["Return"]), (&json!(false), &json!(6)));
    }
}
