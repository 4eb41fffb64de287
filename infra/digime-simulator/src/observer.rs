//! Observes requests.

use std::pin::Pin;
use std::sync::Arc;

/// The moment of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The request has arrived and is not carried out yet.
    Before,
    /// The request is carried out, and its answer is not sent yet.
    After,
}

/// Called for every request, before and after it takes effect. The request waits for the returned future. The text
/// names the request without its query, such as `POST /v1.7/oauth/token`.
pub type Observer = Arc<dyn Fn(Moment, &str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
