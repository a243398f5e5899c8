//! Runs the handler of a path with its fields, or says that there is none.

use crate::describe;
use crate::engine::{Call, Engine, Matched};
use crate::error::{Error, ErrorKind, multi};
use crate::field::Fields;
use crate::reply::Reply;
use crate::request::Operation;

/// Runs the handler of a matched path.
pub(super) fn dispatch(
    call: &mut Call<'_, '_>,
    engine: &'static Engine,
    matched: Option<Matched<'_>>,
    operation: Operation,
) -> Result<Reply, Error> {
    if operation == Operation::Help {
        return Ok(describe::help(call, engine, matched.as_ref()));
    }
    let Some((path, captures)) = matched else {
        return match engine.fallback {
            Some(handler) => handler(call),
            None => Err(Error::new(ErrorKind::NotFound, multi("unsupported path"))),
        };
    };
    let Some(handler) = path.handler(operation) else {
        return Err(Error::new(ErrorKind::UnsupportedOperation, multi("unsupported operation")));
    };
    call.fields = Fields::decode(path.fields, &call.request.data, &captures)?;
    // A deletion that succeeds stays an empty reply, which clients insist on.
    if path.takes_any_field || operation == Operation::Delete {
        call.fields.warnings.clear();
    }
    let mut reply = handler(call)?;
    reply.warnings.append(&mut call.fields.warnings);
    Ok(reply)
}
