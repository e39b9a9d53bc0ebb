//! How the API says that something is wrong: a status, a word for programs, a sentence for people, and what to do.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// Something that could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: StatusCode,
    problem: Problem,
    retry_after: Option<u64>,
}

/// What an error answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    error: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Problem {
    /// A word that stays the same, such as `not_found`.
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// What the compiler says of a rule that is broken, over several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic: Option<String>,
}

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Error {
        Error {
            status,
            problem: Problem {
                code,
                message: message.into(),
                help: None,
                diagnostic: None,
            },
            retry_after: None,
        }
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn bad_request(message: impl Into<String>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.problem.help = Some(help.into());
        self
    }

    /// What the compiler says of it.
    pub fn diagnostic(mut self, diagnostic: Option<String>) -> Error {
        self.problem.diagnostic = diagnostic;
        self
    }

    /// When it is worth trying again, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Error {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: self.problem,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
