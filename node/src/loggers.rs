//! `sys/loggers`: the levels of this process's log, by the crate that writes.

use conclave_vault::{Error, ErrorKind, LoggerStep};
use serde_json::{Map, Value};

use crate::config::Level;
use crate::logging;

/// Does a step for one logger, or for all.
pub(crate) fn perform(name: Option<&str>, step: LoggerStep) -> Result<Option<Map<String, Value>>, Error> {
    let known = logging::levels();
    let known: Vec<_> = known.into_iter().filter(|(logger, _)| name.is_none_or(|name| name == *logger)).collect();
    if known.is_empty() {
        let text = format!("logger {:?} not found; see sys/loggers", name.unwrap_or_default());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let level = match step {
        LoggerStep::Show => {
            let shown = known.iter().map(|(name, level)| ((*name).to_owned(), level.as_str().into()));
            return Ok(Some(shown.collect()));
        }
        LoggerStep::Set(text) => {
            Some(Level::parse(&text).ok_or_else(|| Error::invalid(format!("invalid level {text:?} provided")))?)
        }
        LoggerStep::Reset => None,
    };
    logging::set_levels(known.into_iter().map(|(name, _)| name), level);
    let (name, level) = (name.unwrap_or("all"), level.map_or("as configured", Level::as_str));
    tracing::warn!(name, level, "a logger's level was changed, as a caller of sys/loggers wanted");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_changed_for_one_logger_and_goes_back_to_what_is_configured() {
        let shown = |name: &str| perform(Some(name), LoggerStep::Show).unwrap().unwrap()[name].clone();
        let before = shown("conclave_client");
        perform(Some("conclave_client"), LoggerStep::Set("trace".into())).unwrap();
        assert_eq!(shown("conclave_client"), "trace");
        perform(Some("conclave_client"), LoggerStep::Reset).unwrap();
        assert_eq!(shown("conclave_client"), before);
        assert!(perform(None, LoggerStep::Show).unwrap().unwrap().len() > 3);
        assert!(perform(Some("none"), LoggerStep::Show).is_err());
        assert!(perform(None, LoggerStep::Set("loud".into())).is_err());
    }
}
