//! Claiming accounts and grants of which a notice is due, and planning their next one.
//!
//! A claim reschedules the item, so that of several sweeps one processes it, and so that it is due again if that sweep ends
//! in between. A plan is written only on what was claimed: whatever changed the item meanwhile made it due at once.

use jiff::Timestamp;
use reauth_domain::{
    Account, AccountId, Grant, UserId,
    account::{NoticePlan, Warned},
    notices::Wait,
    time::rfc3339,
};

use super::{
    Condition, DueItem, Store, StoreError, Versioned,
    accounts::versioned,
    item, key,
    last_reads::read_last_reads,
    transaction::{number, text},
};

impl Store {
    /// Claims a due account until `next`. `None` if another sweep claimed it first, or it changed or was deleted.
    pub async fn claim_account(
        &self,
        due: &DueItem,
        next: Timestamp,
    ) -> Result<Option<Versioned<Account>>, StoreError> {
        let claimed = self.reschedule(due, next).await?;
        claimed.map(|claimed| versioned(item::read(claimed)?)).transpose()
    }

    /// As [`Store::claim_account`], of a grant.
    pub async fn claim_grant(&self, due: &DueItem, next: Timestamp) -> Result<Option<Versioned<Grant>>, StoreError> {
        match self.reschedule(due, next).await? {
            Some(claimed) => self.open(item::read(claimed)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Plans the next notice of a claimed account. Does nothing if the account has changed since.
    pub async fn plan_account(&self, claimed: &Versioned<Account>, wait: &Wait) -> Result<(), StoreError> {
        let account = &claimed.value;
        let NoticePlan::At(claimed_until) = account.notices else { return Ok(()) };
        let next = match wait.plan {
            NoticePlan::At(at) => Some(at),
            NoticePlan::Nothing => None,
            NoticePlan::Unplanned => return Ok(()),
        };
        let plan = Plan { version: claimed.version, claimed_until, next, warned: wait.warned.as_ref() };
        self.plan(key::account(&account.user_id, &account.account_id), Condition::Account, &plan).await
    }

    /// As [`Store::plan_account`], of a grant that was claimed until `claimed_until`.
    pub async fn plan_grant(
        &self,
        claimed: &Versioned<Grant>,
        claimed_until: Timestamp,
        next: Timestamp,
        warned: Option<&Warned>,
    ) -> Result<(), StoreError> {
        let grant = &claimed.value;
        let plan = Plan { version: claimed.version, claimed_until, next: Some(next), warned };
        self.plan(key::grant(&grant.user_id, &grant.contract_id), Condition::Grant, &plan).await
    }

    /// The version does not change: no other write must fail because of a plan. One that has read the item before writes the
    /// old time, and the item is planned again.
    async fn plan(&self, key: key::Key, about: Condition, plan: &Plan<'_>) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key.into_item()))
            .condition_expression("version = :read AND dueAt = :claimed")
            .expression_attribute_values(":read", number(plan.version))
            .expression_attribute_values(":claimed", text(rfc3339::text(plan.claimed_until)));
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        match plan.next {
            Some(next) => {
                set.push("dueAt = :next");
                update = update.expression_attribute_values(":next", text(rfc3339::text(next)));
            }
            None => remove.extend(["dueShard", "dueAt"]),
        }
        match plan.warned {
            Some(warned) => {
                let warned = serde_dynamo::to_attribute_value(warned);
                let warned = warned.map_err(|error| StoreError::Corrupt(error.to_string()))?;
                set.push("warned = :warned");
                update = update.expression_attribute_values(":warned", warned);
            }
            None => remove.push("warned"),
        }
        let clause = |verb: &str, parts: Vec<&str>| match parts.as_slice() {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        let expression = clause("SET", set) + &clause("REMOVE", remove);
        match self.update(update.update_expression(expression.trim_end())).await {
            Err(StoreError::Conflict(Some(_))) => Ok(()),
            result => result.map(drop).map_err(|error| error.about(about)),
        }
    }

    /// When the last completed read of an account was started. `None` if the last read failed, or none is known.
    pub async fn last_completed_read(
        &self,
        user: &UserId,
        account: &AccountId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Some(item) = self.get_item(key::last_reads(user)).await? else { return Ok(None) };
        Ok(read_last_reads(&item)?.value.last_completed(account))
    }
}

/// The next time at which a claimed item is due.
struct Plan<'a> {
    version: u64,
    claimed_until: Timestamp,
    /// `None`: never.
    next: Option<Timestamp>,
    /// The warnings that are done by then. `None` removes those that are stored.
    warned: Option<&'a Warned>,
}
