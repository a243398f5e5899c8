//! Filters in their written form (RFC 4515), as searches send them.
//!
//! A value may hold any octets, of which the codec takes those that are UTF-8.

use ldap3_proto::proto::{LdapFilter, LdapMatchingRuleAssertion, LdapSubstringFilter};

use crate::config::limits::MAX_LDAP_FILTER_DEPTH;

/// A filter out of its text; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<LdapFilter> {
    let mut reader = Reader { rest: text.trim() };
    let filter = reader.filter(MAX_LDAP_FILTER_DEPTH)?;
    reader.rest.is_empty().then_some(filter)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn takes(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn filter(&mut self, depth: usize) -> Option<LdapFilter> {
        let depth = depth.checked_sub(1)?;
        if !self.takes("(") {
            return None;
        }
        let filter = if self.takes("&") {
            LdapFilter::And(self.filters(depth)?)
        } else if self.takes("|") {
            LdapFilter::Or(self.filters(depth)?)
        } else if self.takes("!") {
            LdapFilter::Not(Box::new(self.filter(depth)?))
        } else {
            self.item()?
        };
        self.takes(")").then_some(filter)
    }

    fn filters(&mut self, depth: usize) -> Option<Vec<LdapFilter>> {
        let mut filters = Vec::new();
        while self.rest.starts_with('(') {
            filters.push(self.filter(depth)?);
        }
        Some(filters)
    }

    fn item(&mut self) -> Option<LdapFilter> {
        let (left, _) = self.rest.split_once('=')?;
        if left.contains(['(', ')', '*', '\\']) {
            return None;
        }
        let (operator, attribute) = match left.as_bytes().last()? {
            b':' => (':', &left[..left.len() - 1]),
            b'>' => ('>', &left[..left.len() - 1]),
            b'<' => ('<', &left[..left.len() - 1]),
            b'~' => ('~', &left[..left.len() - 1]),
            _ => ('=', left),
        };
        self.rest = &self.rest[left.len() + 1..];
        let attribute = attribute.trim();
        let parts = self.value()?;
        let whole = || if let [part] = parts.as_slice() { Some(part.clone()) } else { None };
        if operator == ':' {
            return extensible(attribute, whole()?);
        }
        let attribute = described(attribute)?;
        match operator {
            '>' => Some(LdapFilter::GreaterOrEqual(attribute, whole()?)),
            '<' => Some(LdapFilter::LessOrEqual(attribute, whole()?)),
            '~' => Some(LdapFilter::Approx(attribute, whole()?)),
            _ => Some(equality(attribute, parts)),
        }
    }

    /// A value up to the end of its filter, taken apart at its stars and unescaped.
    fn value(&mut self) -> Option<Vec<String>> {
        let (text, _) = self.rest.split_once(')')?;
        self.rest = &self.rest[text.len()..];
        text.split('*').map(unescaped).collect()
    }
}

fn unescaped(text: &str) -> Option<String> {
    let (mut value, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let digits = [bytes.next()?, bytes.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                value.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'(' | 0 => return None,
            _ => value.push(byte),
        }
    }
    String::from_utf8(value).ok()
}

fn equality(attribute: String, mut parts: Vec<String>) -> LdapFilter {
    if let [part] = parts.as_mut_slice() {
        return LdapFilter::Equality(attribute, std::mem::take(part));
    }
    let last = parts.pop().filter(|part| !part.is_empty());
    let mut middle = parts.into_iter();
    let first = middle.next().filter(|part| !part.is_empty());
    let any: Vec<_> = middle.filter(|part| !part.is_empty()).collect();
    if first.is_none() && last.is_none() && any.is_empty() {
        return LdapFilter::Present(attribute);
    }
    LdapFilter::Substring(attribute, LdapSubstringFilter { initial: first, any, final_: last })
}

/// `attribute:dn:rule`, of which each part may be absent, but not attribute and rule both.
fn extensible(left: &str, value: String) -> Option<LdapFilter> {
    let mut parts = left.split(':');
    let attribute = parts.next().filter(|part| !part.is_empty());
    let mut rest: Vec<_> = parts.collect();
    let is_dn = rest.first().is_some_and(|part| part.eq_ignore_ascii_case("dn"));
    if is_dn {
        rest.remove(0);
    }
    let rule = match rest.as_slice() {
        [] => None,
        [rule] => Some(described(rule)?),
        _ => return None,
    };
    if attribute.is_none() && rule.is_none() {
        return None;
    }
    let type_ = attribute.map(described).map_or(Some(None), |described| described.map(Some))?;
    Some(LdapFilter::Extensible(LdapMatchingRuleAssertion {
        matching_rule: rule,
        type_,
        match_value: value,
        dn_attributes: is_dn,
    }))
}

/// The name of an attribute or a rule: a word or numbers with dots, and options (RFC 4512, section 2.5).
fn described(text: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';');
    (!text.is_empty() && text.bytes().all(is_part)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(attribute: &str, value: &str) -> LdapFilter {
        LdapFilter::Equality(attribute.into(), value.into())
    }

    #[test]
    fn filters_are_read_as_they_are_written() {
        let substring = |initial: Option<&str>, any: &[&str], last: Option<&str>| {
            let owned = |text: &str| text.to_owned();
            let any = any.iter().map(|part| owned(part)).collect();
            let (initial, final_) = (initial.map(owned), last.map(owned));
            LdapFilter::Substring("cn".into(), LdapSubstringFilter { initial, any, final_ })
        };
        for (text, expected) in [
            ("(uid=ann)", equal("uid", "ann")),
            ("(uid=)", equal("uid", "")),
            ("(cn=\\2a\\29\\c3\\a9 b)", equal("cn", "*)é b")),
            ("(cn;lang-de=a=b)", equal("cn;lang-de", "a=b")),
            ("(2.5.4.3=a)", equal("2.5.4.3", "a")),
            ("(uid=*)", LdapFilter::Present("uid".into())),
            ("(cn=a*b*c)", substring(Some("a"), &["b"], Some("c"))),
            ("(cn=*b*)", substring(None, &["b"], None)),
            ("(n>=1)", LdapFilter::GreaterOrEqual("n".into(), "1".into())),
            ("(n<=1)", LdapFilter::LessOrEqual("n".into(), "1".into())),
            ("(n~=1)", LdapFilter::Approx("n".into(), "1".into())),
            (
                "(&(a=1)(|(b=2)(!(c=3))))",
                LdapFilter::And(vec![
                    equal("a", "1"),
                    LdapFilter::Or(vec![equal("b", "2"), LdapFilter::Not(Box::new(equal("c", "3")))]),
                ]),
            ),
            ("(&)", LdapFilter::And(Vec::new())),
        ] {
            assert!(parse(text) == Some(expected), "{text}");
        }
    }

    #[test]
    fn rules_of_matching_may_be_named() {
        let rule = |type_: Option<&str>, rule: Option<&str>, dn_attributes| {
            let owned = |text: &str| text.to_owned();
            let (type_, matching_rule) = (type_.map(owned), rule.map(owned));
            Some(LdapFilter::Extensible(LdapMatchingRuleAssertion {
                matching_rule,
                type_,
                match_value: "x".into(),
                dn_attributes,
            }))
        };
        assert!(
            parse("(member:1.2.840.113556.1.4.1941:=x)")
                == rule(Some("member"), Some("1.2.840.113556.1.4.1941"), false)
        );
        assert!(parse("(cn:dn:=x)") == rule(Some("cn"), None, true));
        assert!(parse("(:dn:2.4.6:=x)") == rule(None, Some("2.4.6"), true));
    }

    #[test]
    fn what_is_no_filter_is_none() {
        let deep = format!("{}(a=1){}", "(!".repeat(MAX_LDAP_FILTER_DEPTH), ")".repeat(MAX_LDAP_FILTER_DEPTH));
        for text in [
            "",
            "uid=ann",
            "(uid=ann",
            "(uid=ann))",
            "(uid)",
            "(=a)",
            "(a b=c)",
            "(a=\\2)",
            "(a=\\zz)",
            "(a=(b)",
            "(a=\\ff)",
            "((a=1)(b=2))",
            "(!)",
            "(a:b:c:=x)",
            "(:=x)",
            "(n>=a*)",
            &deep,
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
