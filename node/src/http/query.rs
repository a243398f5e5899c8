//! `name=value&…`: query parameters and form bodies (WHATWG URL, application/x-www-form-urlencoded).

use serde_json::{Map, Value};

/// Text that is no list of parameters, or has too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameters cannot be decoded")]
pub struct QueryError;

/// Decodes parameters in their order; at most `most` of them.
pub fn decode(text: &str, most: usize) -> Result<Vec<(String, String)>, QueryError> {
    let mut parameters = Vec::new();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        if parameters.len() == most {
            return Err(QueryError);
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        parameters.push((unescape(name)?, unescape(value)?));
    }
    Ok(parameters)
}

fn unescape(text: &str) -> Result<String, QueryError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or(QueryError);
                let (high, low) = (digit()?, digit()?);
                (high << 4 | low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| QueryError)
}

/// Query parameters as request data: one value is a text, several are a list. `help` is never data.
pub fn as_data<'a>(parameters: impl IntoIterator<Item = &'a (String, String)>) -> Map<String, Value> {
    let mut data = Map::new();
    for (name, value) in parameters {
        if name == "help" {
            continue;
        }
        match data.get_mut(name) {
            None => {
                data.insert(name.clone(), value.as_str().into());
            }
            Some(Value::Array(values)) => values.push(value.as_str().into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.as_str().into()]),
        }
    }
    data
}

/// A form's fields as request data: several values of a field are joined by commas.
pub fn as_form(parameters: Vec<(String, String)>) -> Map<String, Value> {
    let mut data: Map<String, Value> = Map::new();
    for (name, value) in parameters {
        match data.get_mut(&name) {
            Some(Value::String(joined)) => {
                joined.push(',');
                joined.push_str(&value);
            }
            _ => {
                data.insert(name, value.into());
            }
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        let decoded = decode("a=1&b=x%2By+z&c&d=%3D&&e=%25", 8).unwrap();
        let expected = [("a", "1"), ("b", "x+y z"), ("c", ""), ("d", "="), ("e", "%")];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for broken in ["a=%zz", "a=%", "%f=1", "a=%ff"] {
            assert_eq!(decode(broken, 8), Err(QueryError), "{broken}");
        }
        assert_eq!(decode("a&b&c", 2), Err(QueryError));
    }

    #[test]
    fn repeated_parameters_are_a_list_and_repeated_fields_are_joined() {
        let parameters = decode("a=1&b=2&a=3&a=4&help=1", 8).unwrap();
        assert_eq!(Value::Object(as_data(&parameters)), serde_json::json!({"a": ["1", "3", "4"], "b": "2"}));
        assert_eq!(
            Value::Object(as_form(decode("p=pp&p=default&ttl=90", 8).unwrap())),
            serde_json::json!({"p": "pp,default", "ttl": "90"})
        );
    }
}
