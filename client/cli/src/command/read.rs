//! `read`: any path, as a table or a document.

use clap::Args;
use conclave_client::Request;

use crate::assignment;
use crate::failure::Outcome;
use crate::golang;
use crate::session::Session;

/// Read any path of the API.
#[derive(Args)]
pub(crate) struct Read {
    /// The path, such as secret/app or sys/mounts.
    path: String,
    /// Parameters of the query, as name=value.
    data: Vec<String>,
}

impl Read {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = with_query(Request::get(&self.path), &self.data)?;
        let reply = session.fetch(&format!("reading {}", self.path), &self.path, request).await?;
        session.output.reply(&reply)
    }
}

/// Puts data into the query, a list as a repeated parameter.
pub(super) fn with_query(request: Request, data: &[String]) -> Result<Request, crate::failure::Failure> {
    let mut request = request;
    for (name, value) in assignment::from_process(data)? {
        match value.as_array() {
            Some(items) => {
                for item in items {
                    request = request.query(name.clone(), golang::value(item));
                }
            }
            None => request = request.query(name, golang::value(&value)),
        }
    }
    Ok(request)
}
