//! The services' wire protocols: AWS JSON 1.0, AWS JSON 1.1, REST with JSON, and the older query protocol.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use digime::ambient::Ambient;
use http::{Method, StatusCode, header, request::Parts};
use serde_json::json;

use super::sesv2::{SEND_EMAIL, SEND_EMAIL_PATH};
use crate::ids::uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    DynamoDb,
    SecretsManager,
    Sqs,
    Sns,
    Ses,
}

/// An error answer of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// The whole body. `None` for the usual body with the code and the message.
    pub(super) body: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), body: None }
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new(400, "UnknownOperationException", "The operation is not one that this system's functions use.")
    }

    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalFailure", error.to_string())
    }
}

impl Service {
    /// The service with the given name in the scope of a signature.
    pub(super) fn by_scope(name: &str) -> Option<Self> {
        match name {
            "dynamodb" => Some(Self::DynamoDb),
            "secretsmanager" => Some(Self::SecretsManager),
            "sqs" => Some(Self::Sqs),
            "sns" => Some(Self::Sns),
            "ses" => Some(Self::Ses),
            _ => None,
        }
    }

    /// The IAM action of an operation, such as `sqs:SendMessage`.
    pub(super) fn action(self, operation: &str) -> String {
        let prefix = match self {
            Self::DynamoDb => "dynamodb",
            Self::SecretsManager => "secretsmanager",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Ses => "ses",
        };
        format!("{prefix}:{operation}")
    }

    pub(super) fn operation(self, parts: &Parts, body: &str) -> Option<String> {
        let target_prefix = match self {
            Self::DynamoDb => "DynamoDB_20120810.",
            Self::SecretsManager => "secretsmanager.",
            Self::Sqs => "AmazonSQS.",
            Self::Ses => {
                let is_send = parts.method == Method::POST && parts.uri.path() == SEND_EMAIL_PATH;
                return is_send.then(|| SEND_EMAIL.to_owned());
            }
            Self::Sns => {
                return url::form_urlencoded::parse(body.as_bytes())
                    .find(|(name, _)| name == "Action")
                    .map(|(_, action)| action.into_owned());
            }
        };
        let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
        target.strip_prefix(target_prefix).map(str::to_owned)
    }

    pub(super) fn reply(self, result: Result<String, ApiError>, ambient: &Ambient) -> Response {
        let request_id = uuid(ambient);
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, self.error_body(error, status, &request_id))
            }
        };
        let response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, self.content_type())
            .header("x-amzn-requestid", request_id);
        response.body(Body::from(body)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    fn error_body(self, error: ApiError, status: StatusCode, request_id: &str) -> String {
        if let Some(body) = error.body {
            return body;
        }
        match self {
            Self::Sns => {
                let code = if error.code == "UnknownOperationException" { "InvalidAction" } else { &error.code };
                let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
                let (code, message) = (xml_text(code), xml_text(&error.message));
                format!(
                    r#"<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"#
                )
            }
            Self::Sqs => {
                json!({"__type": format!("com.amazonaws.sqs#{}", error.code), "message": error.message}).to_string()
            }
            Self::DynamoDb => json!({
                "__type": format!("com.amazonaws.dynamodb.v20120810#{}", error.code),
                "message": error.message,
            })
            .to_string(),
            Self::SecretsManager => json!({"__type": error.code, "Message": error.message}).to_string(),
            Self::Ses => json!({"__type": error.code, "message": error.message}).to_string(),
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::DynamoDb | Self::Sqs => "application/x-amz-json-1.0",
            Self::SecretsManager => "application/x-amz-json-1.1",
            Self::Sns => "text/xml",
            Self::Ses => "application/json",
        }
    }
}

/// Escapes the special characters of XML.
pub(super) fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
