//! Watching requests go by.

use std::pin::Pin;
use std::sync::Arc;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It has come, and nothing was done about it yet.
    Before,
    /// It was carried out, and its answer is not sent yet.
    After,
}

/// Is told of every request, before and after it takes effect, and holds it up as long as the
/// future takes: for ever, if it never ends. The text names the request, such as
/// `POST /v1.7/oauth/token`; it holds no query.
pub type Observer = Arc<dyn Fn(Moment, &str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
