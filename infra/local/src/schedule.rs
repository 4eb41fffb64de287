//! The schedule: invokes the sweep with the event that EventBridge sends.

use bytes::Bytes;
use digime::ambient::Ambient;
use serde_json::json;

use crate::{
    ids::uuid,
    invoke::{Invoke, InvokeError},
    names,
};

/// Invokes the sweep once.
pub(crate) async fn run(sweep: &dyn Invoke, ambient: &Ambient) -> Result<Bytes, InvokeError> {
    let event = json!({
        "version": "0",
        "id": uuid(ambient),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": names::ACCOUNT,
        "time": ambient.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": names::REGION,
        "resources": [names::arn("events", "rule/sweep-accounts")],
        "detail": {},
    });
    sweep.invoke(Bytes::from(event.to_string())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{invoke::testing::Scripted, queues::testing::TestClock};

    #[tokio::test]
    async fn the_sweep_gets_a_scheduled_event() {
        let function = Scripted::new(|_| Ok(json!({})));
        run(&*function, &TestClock::new().ambient()).await.unwrap();
        let mut event = function.events.lock().unwrap().remove(0);
        assert!(event["id"].take().is_string());
        let expected = json!({
            "version": "0", "id": null, "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "000000000000", "time": "2026-01-02T03:04:05Z", "region": "eu-west-1",
            "resources": ["arn:aws:events:eu-west-1:000000000000:rule/sweep-accounts"], "detail": {},
        });
        assert_eq!(event, expected);
    }
}
