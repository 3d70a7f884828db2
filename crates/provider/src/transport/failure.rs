use std::{error::Error as StdError, io};

use hyper_util::client::legacy;
use ziggurat_core::{BoxError, Clock, Error, ErrorKind};

/// What it means that there is no answer at all.
///
/// An [`Error`] passes as it is. No URL stays in the error: it may hold a credential.
pub(crate) fn failure(error: BoxError) -> Error {
    let (error, connecting) = match strip(error) {
        Ok(error) => return error,
        Err(error) => {
            let legacy = error.downcast_ref::<legacy::Error>();
            let reqwest = error.downcast_ref::<reqwest::Error>();
            let connecting = legacy.is_some_and(legacy::Error::is_connect)
                || reqwest.is_some_and(reqwest::Error::is_connect);
            (error, connecting)
        }
    };
    if connecting && timed_out(&*error) {
        return Error::timeout(Clock::Connect).with_source(error);
    }
    let message = if connecting {
        "no connection to the provider can be made"
    } else {
        "the connection to the provider broke before an answer"
    };
    Error::new(ErrorKind::Connect, message).with_source(error)
}

/// What it means that a body breaks off.
pub(crate) fn stream_failure(error: BoxError) -> Error {
    match strip(error) {
        Ok(error) => error,
        Err(error) => {
            let message = "the connection to the provider broke in the middle of the answer";
            Error::new(ErrorKind::StreamBroken, message).with_source(error)
        }
    }
}

fn strip(error: BoxError) -> Result<Error, BoxError> {
    let error = match error.downcast::<Error>() {
        Ok(error) => return Ok(*error),
        Err(error) => error,
    };
    Err(match error.downcast::<reqwest::Error>() {
        Ok(error) => Box::new(error.without_url()),
        Err(error) => error,
    })
}

fn timed_out(error: &(dyn StdError + 'static)) -> bool {
    if error
        .downcast_ref::<reqwest::Error>()
        .is_some_and(reqwest::Error::is_timeout)
    {
        return true;
    }
    let mut cause = Some(error);
    while let Some(current) = cause {
        let io = current.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = current.source();
    }
    false
}
