//! What the key of an item of the table says about the item.

use reauth_domain::{AccountId, ContractId, EventId, ReauthorizationId, ServiceKey, Target, UserId};
use serde_json::Value;

/// The key of an item that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemKey {
    Account(UserId, AccountId),
    Grant(UserId, ContractId),
    Event(UserId, Target, u64),
    Reauthorization(ReauthorizationId),
    /// The hash of the link's token.
    Link(String),
    WebhookHealth,
    /// An attempt to post an event. The text names it among the event's attempts.
    Attempt(EventId, String),
    Outage(ServiceKey),
}

impl ItemKey {
    /// `None` for an item of another kind: last reads, pointers, tombstones, counters.
    pub(super) fn of(keys: &Value) -> Option<Self> {
        let (pk, sk) = (keys["PK"]["S"].as_str()?, keys["SK"]["S"].as_str()?);
        if let Some(id) = pk.strip_prefix("REAUTH#") {
            return Some(Self::Reauthorization(id.parse().ok()?));
        }
        if let Some(hash) = pk.strip_prefix("LINK#") {
            return Some(Self::Link(hash.to_owned()));
        }
        if let Some(event) = pk.strip_prefix("DELIVERY#") {
            return Some(Self::Attempt(event.parse().ok()?, sk.to_owned()));
        }
        if pk == "WEBHOOK" {
            return Some(Self::WebhookHealth);
        }
        if let Some(service) = pk.strip_prefix("SERVICE#") {
            return (sk == "OUTAGE").then(|| Self::Outage(ServiceKey::stored(service)));
        }
        let user = pk.strip_prefix("USER#")?.parse().ok()?;
        match sk.split_once('#')? {
            ("ACCOUNT", id) => Some(Self::Account(user, id.parse().ok()?)),
            ("GRANT", id) => Some(Self::Grant(user, id.parse().ok()?)),
            ("EVENT", rest) => {
                let (target, sequence) = rest.rsplit_once('#')?;
                let target = match target.strip_prefix("grant:") {
                    Some(id) => Target::Grant(id.parse().ok()?),
                    None => Target::Account(target.parse().ok()?),
                };
                Some(Self::Event(user, target, sequence.parse().ok()?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_keys_of_the_table_are_known() {
        let of = |pk: &str, sk: &str| ItemKey::of(&json!({"PK": {"S": pk}, "SK": {"S": sk}}));
        let user: UserId = "u:1".parse().unwrap();
        assert_eq!(of("USER#u:1", "ACCOUNT#1_a"), Some(ItemKey::Account(user.clone(), "1_a".parse().unwrap())));
        assert_eq!(of("USER#u:1", "GRANT#c"), Some(ItemKey::Grant(user.clone(), "c".parse().unwrap())));
        let account = Target::Account("1_a".parse().unwrap());
        let event = of("USER#u:1", "EVENT#1_a#00000000000000000007");
        assert_eq!(event, Some(ItemKey::Event(user.clone(), account, 7)));
        let grant = Target::Grant("c".parse().unwrap());
        assert_eq!(of("USER#u:1", "EVENT#grant:c#7"), Some(ItemKey::Event(user, grant, 7)));
        assert_eq!(of("LINK#abc", "LINK"), Some(ItemKey::Link("abc".to_owned())));
        let id = ReauthorizationId::from([1; 16]);
        assert_eq!(of(&format!("REAUTH#{id}"), "REAUTH"), Some(ItemKey::Reauthorization(id)));
        assert_eq!(of("WEBHOOK", "WEBHOOK"), Some(ItemKey::WebhookHealth));
        let event = EventId::from([1; 16]);
        let attempt = of(&format!("DELIVERY#{event}"), "webhook#m#01");
        assert_eq!(attempt, Some(ItemKey::Attempt(event, "webhook#m#01".to_owned())));
        let service = ServiceKey::of("Meadow Bank").unwrap();
        assert_eq!(of("SERVICE#meadow bank", "OUTAGE"), Some(ItemKey::Outage(service)));
        assert_eq!(of("SERVICE#meadow bank", "BREAKS#2026-11-23T09:00:00.000Z"), None);
        for (pk, sk) in [("USER#u", "ACCOUNTS"), ("USER#u", "LINK#abc"), ("FORGOTTEN#x", "FORGOTTEN")] {
            assert_eq!(of(pk, sk), None, "{sk}");
        }
    }
}
