//! The application's end of a webhook: records what is posted, and answers as the test says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{DeliveredEvent, event_schemas::assert_delivered, reply};

/// The signing secret of the tests' webhooks: 32 bytes of `a`.
pub const WEBHOOK_SECRET: &str = "whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// With this status and this `Retry-After`.
    RetryAfter(u16, String),
    /// With this status and this body.
    Body(u16, String),
    /// With this status and a body that never ends: about a megabyte at a time, as fast as it is read.
    Endless(u16),
    /// With a redirect to this address.
    Redirect(String),
    /// The connection is closed instead.
    None,
    /// Not until the answer is changed.
    NotYet,
}

/// A request that was posted.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Delivery {
    /// The event in the body.
    #[must_use]
    pub fn event(&self) -> DeliveredEvent {
        DeliveredEvent::from(&self.json())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body in JSON")
    }

    /// A header's text. Empty if there is no such header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        reply::header(&self.headers, name)
    }
}

/// A server that listens on a free port until it is dropped. It then fails the test if an event was posted that does not
/// conform to its schema.
#[derive(Debug)]
pub struct Receiver {
    /// The URL to post to.
    pub url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    count: watch::Sender<usize>,
    answers: watch::Sender<Answers>,
}

#[derive(Debug)]
struct Answers {
    usual: Answer,
    of_events: HashMap<String, Answer>,
}

impl Answers {
    fn of(&self, event_id: &str) -> &Answer {
        self.of_events.get(event_id).unwrap_or(&self.usual)
    }
}

impl Receiver {
    /// Listens, and answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks?key=that-stands-in-the-url", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            deliveries: Mutex::default(),
            count: watch::Sender::new(0),
            answers: watch::Sender::new(Answers { usual: Answer::Status(204), of_events: HashMap::new() }),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, shared, server }
    }

    /// Sets the answer to requests from now on, and to those that wait for an answer.
    pub fn answer(&self, answer: Answer) {
        self.shared.answers.send_modify(|answers| answers.usual = answer);
    }

    /// Sets the answer to one event, also if it waits for an answer.
    pub fn answer_event(&self, event_id: &str, answer: Answer) {
        self.shared.answers.send_modify(|answers| drop(answers.of_events.insert(event_id.to_owned(), answer)));
    }

    /// The requests that were posted so far.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this number of requests was posted.
    pub async fn has_seen(&self, count: usize) {
        // The sender is `self.shared`'s.
        let _ = self.shared.count.subscribe().wait_for(|seen| *seen >= count).await;
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1_000_000).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let delivery = Delivery { headers: parts.headers, body };
    let event_id = delivery.header("webhook-id").to_owned();
    shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    shared.count.send_modify(|count| *count += 1);
    let mut answers = shared.answers.subscribe();
    let answer = answers.wait_for(|answers| !matches!(answers.of(&event_id), Answer::NotYet)).await;
    let answer = answer.map(|answers| answers.of(&event_id).clone());
    let status = |status| StatusCode::from_u16(status).unwrap_or_default();
    match answer {
        Ok(Answer::Status(code)) => status(code).into_response(),
        Ok(Answer::RetryAfter(code, after)) => (status(code), [(header::RETRY_AFTER, after)]).into_response(),
        Ok(Answer::Body(code, body)) => (status(code), body).into_response(),
        Ok(Answer::Endless(code)) => {
            let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 1_000_000]));
            let body = Body::from_stream(futures::stream::repeat_with(chunk));
            (status(code), body).into_response()
        }
        Ok(Answer::Redirect(to)) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        // The server closes the connection. The panic is not printed.
        Ok(Answer::None) => std::panic::resume_unwind(Box::new(())),
        Ok(Answer::NotYet) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
        if !std::thread::panicking() {
            self.deliveries().iter().for_each(|delivery| assert_delivered(&delivery.json()));
        }
    }
}
