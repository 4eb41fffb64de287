//! Stand-ins for the AWS services that the functions call. They use the services' wire protocols and share one port.
//!
//! As on AWS, the scope of the signature names the service. The local system does not check signatures. The access key
//! id is the caller's name, so that tests can see which function used which permission.

mod dynamodb;
mod faults;
mod holds;
mod lag;
mod protocol;
mod record;
mod secrets;
mod sesv2;
mod sns;
mod sqs;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use digime::ambient::Ambient;
use dynoxide::Database;
use http::{HeaderMap, header, request::Parts};

use self::{
    faults::Faults,
    holds::Holds,
    lag::IndexLag,
    protocol::{ApiError, Service},
    record::Record,
};
pub use self::{
    faults::{Effect, Fault},
    record::{Operation, Permission},
    secrets::Secrets,
};
use digime_simulator::{Moment, Observer};

use crate::{mails::Mails, queues::Queues, table::TableError, topic::Topics};

/// In bytes. DynamoDB accepts requests of up to 16 MB, the other services less.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The services and their state. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    ambient: Ambient,
    database: Database,
    secrets: Secrets,
    queues: Queues,
    topics: Topics,
    mails: Mails,
    faults: Mutex<Faults>,
    holds: Holds,
    index_lag: IndexLag,
    record: Mutex<Record>,
    observer: Mutex<Option<Observer>>,
}

/// The fields of a call that all services have.
struct Call {
    caller: String,
    service: Service,
    /// Such as `SendMessage`.
    operation: String,
    body: String,
}

impl Aws {
    #[must_use]
    pub fn new(
        database: Database,
        secrets: Secrets,
        queues: Queues,
        topics: Topics,
        mails: Mails,
        ambient: Ambient,
    ) -> Self {
        Self(Arc::new(Inner {
            ambient,
            database,
            secrets,
            queues,
            topics,
            mails,
            faults: Mutex::default(),
            holds: Holds::default(),
            index_lag: IndexLag::default(),
            record: Mutex::default(),
            observer: Mutex::default(),
        }))
    }

    /// Makes the next calls of an operation fail.
    pub fn fail(&self, fault: Fault) {
        lock(&self.0.faults).add(fault);
    }

    /// Removes all faults that have not happened yet.
    pub fn clear_faults(&self) {
        lock(&self.0.faults).clear();
    }

    /// Makes concurrent transactions conflict, as on AWS. Each DynamoDB call takes the given time, and a
    /// `TransactWriteItems` holds all of its items during this time. A transaction, a `PutItem` or an `UpdateItem`
    /// on a held item is refused at once with DynamoDB's conflict.
    pub fn hold_transactions(&self, duration: Duration) {
        self.0.holds.set_duration(Some(duration));
    }

    /// Ends the effect of `hold_transactions`. Calls in progress are executed now.
    pub fn release_transactions(&self) {
        self.0.holds.set_duration(None);
    }

    /// Lets the indexes lag: until `end_index_lag`, queries of them see the table as it is now.
    pub fn begin_index_lag(&self) -> Result<(), TableError> {
        self.0.index_lag.begin(&self.0.database)
    }

    /// Lets the indexes catch up with the table.
    pub fn end_index_lag(&self) {
        self.0.index_lag.end();
    }

    /// Sets the observer of every call. The observer can delay a call. A call is named by its caller and its operation,
    /// such as `accounts dynamodb:Query`.
    pub fn observe(&self, observer: Option<Observer>) {
        *lock(&self.0.observer) = observer;
    }

    async fn call_observer(&self, moment: Moment, call: &Call) {
        let name = || format!("{} {}", call.caller, call.service.action(&call.operation));
        let observation = lock(&self.0.observer).as_ref().map(|observer| observer(moment, &name()));
        if let Some(observation) = observation {
            observation.await;
        }
    }

    /// The number of calls per caller and operation, including retries and failures.
    #[must_use]
    pub fn operations(&self) -> BTreeMap<Operation, u64> {
        lock(&self.0.record).operations.clone()
    }

    /// Every permission that a caller has needed so far.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<Permission> {
        lock(&self.0.record).permissions.clone()
    }

    /// Starts to count DynamoDB's capacity units, from zero. While it counts, the stand-in asks the database for the
    /// consumed capacity with each call.
    pub fn count_units(&self) {
        lock(&self.0.record).units = Some(BTreeMap::new());
    }

    /// The capacity units that each caller's operations consumed since `count_units`: read units for reads, write units
    /// for writes.
    #[must_use]
    pub fn units(&self) -> BTreeMap<Operation, f64> {
        lock(&self.0.record).units.clone().unwrap_or_default()
    }

    /// Clears the record of calls and permissions.
    pub fn clear_record(&self) {
        *lock(&self.0.record) = Record::default();
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    async fn answer(&self, call: &Call) -> Result<String, ApiError> {
        let Inner { ambient, database, secrets, queues, topics, mails, holds, index_lag, .. } = &*self.0;
        let needed = match call.service {
            Service::DynamoDb => dynamodb::permissions(&call.operation, &call.body),
            Service::SecretsManager => secrets::permissions(&call.operation, &call.body),
            Service::Sqs => sqs::permissions(&call.operation, &call.body),
            Service::Sns => sns::permissions(&call.operation, &call.body),
            Service::Ses => sesv2::permissions(&call.operation, &call.body),
        };
        lock(&self.0.record).add(call, needed);
        let fault = lock(&self.0.faults).take(&call.service.action(&call.operation));
        if let Some(fault) = fault.as_ref().filter(|fault| fault.effect == Effect::Refused) {
            return Err(fault.answer());
        }
        // Dropped after the call is executed, which releases the items.
        let _held = match call.service {
            Service::DynamoDb => Some(holds.enter(database, &call.operation, &call.body).await?),
            Service::SecretsManager | Service::Sqs | Service::Sns | Service::Ses => None,
        };
        let seen = index_lag.seen_by(&call.operation, &call.body, database);
        let result = match call.service {
            Service::DynamoDb if lock(&self.0.record).units.is_some() => {
                let metered = dynamodb::metered(&seen, &call.operation, &call.body);
                metered.map(|(reply, units)| {
                    lock(&self.0.record).consume(call, units);
                    reply
                })
            }
            Service::DynamoDb => dynamodb::answer(&seen, &call.operation, &call.body),
            Service::SecretsManager => secrets::answer(secrets, &call.operation, &call.body),
            Service::Sqs => sqs::answer(queues, &call.operation, &call.body),
            Service::Sns => sns::answer(topics, &call.operation, &call.body, ambient),
            Service::Ses => sesv2::answer(mails, &call.operation, &call.body),
        };
        match fault {
            Some(fault) => Err(fault.answer()),
            None => result,
        }
    }
}

async fn serve(State(aws): State<Aws>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((caller, service)) = signature(&parts.headers) else {
        return (http::StatusCode::FORBIDDEN, "Missing Authentication Token").into_response();
    };
    let answer = match read_call(caller, service, &parts, body).await {
        Ok(call) => {
            aws.call_observer(Moment::Before, &call).await;
            let answer = aws.answer(&call).await;
            aws.call_observer(Moment::After, &call).await;
            answer
        }
        Err(error) => Err(error),
    };
    service.reply(answer, &aws.0.ambient)
}

async fn read_call(caller: String, service: Service, parts: &Parts, body: Body) -> Result<Call, ApiError> {
    let too_large = || ApiError::new(413, "RequestEntityTooLarge", "The request is too large or slow.");
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_LIMIT)).await;
    let body = body.map_err(|_| too_large())?.map_err(|_| too_large())?;
    let body = String::from_utf8(body.into())
        .map_err(|_| ApiError::new(400, "SerializationException", "The request is not UTF-8."))?;
    let operation = service.operation(parts, &body).ok_or_else(ApiError::unknown_operation)?;
    Ok(Call { caller, service, operation, body })
}

/// Reads the access key id and the service from a SigV4 header: `AWS4-HMAC-SHA256 Credential=<access key
/// id>/<date>/<region>/<service>/aws4_request, …`.
fn signature(headers: &HeaderMap) -> Option<(String, Service)> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let credential = credential.split(',').next()?;
    let mut parts = credential.trim().rsplit('/');
    let (_terminator, service, _region, _date) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((parts.next()?.to_owned(), Service::by_scope(service)?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
