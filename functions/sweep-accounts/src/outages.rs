//! Looks at the outages that are due: tells the operator, and prolongs or ends them.

use digime::ambient::{Ambient, Deadline};
use futures::{StreamExt, stream};
use reauth_core::{error::Chain, store::Store};
use reauth_domain::{Outage, ServiceKey};
use tracing::instrument;

use crate::operator::{Operator, TellError};

/// Outages that one sweep looks at. More services are hardly down at the same time.
const LIMIT: usize = 100;
/// Outages that are looked at at the same time.
const CONCURRENCY: usize = 4;

/// The outages of services.
pub(crate) struct Outages<'a> {
    pub(crate) store: &'a Store,
    pub(crate) operator: &'a Operator,
    pub(crate) ambient: &'a Ambient,
    pub(crate) deadline: Deadline,
}

impl Outages<'_> {
    /// Looks at each outage that is due. One that fails does not affect the others, and is looked at by the next sweep.
    #[instrument(skip_all)]
    pub(crate) async fn look_at_due(&self) {
        let due = match self.store.due_outages(self.ambient.now(), LIMIT).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "sweep: could not list the outages of services");
                return;
            }
        };
        let looked = stream::iter(due).map(|service| async move {
            if let Err(error) = Box::pin(self.look_at(&service)).await {
                tracing::warn!(error = %Chain(&error), %service, "sweep: could not look at the outage of a service");
            }
        });
        looked.buffer_unordered(CONCURRENCY).collect::<()>().await;
    }

    async fn look_at(&self, service: &ServiceKey) -> Result<(), TellError> {
        let now = self.ambient.now();
        // The index is eventually consistent: the outage may have changed since.
        let Some(outage) = self.store.outage(service).await?.map(|outage| outage.value) else { return Ok(()) };
        let counts = &self.store.account_counts(service, outage.since, now).await?;
        let looked = self.store.change_outage(service, self.deadline, |outage| outage?.looked_at(counts, now)).await?;
        if let Some(Outage { state, until, accounts, healed, .. }) = &looked {
            tracing::info!(%service, ?state, %until, accounts, healed, "sweep: changed the outage of a service");
        }
        self.operator.tell_of_outage(service, counts.since(outage.since), self.deadline).await
    }
}
