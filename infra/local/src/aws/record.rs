//! Who called what: for tests of how few calls a flow makes, and of which permissions a function needs.

use std::collections::{BTreeMap, BTreeSet};

use super::Call;

/// A caller and an operation that it sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The access key id: the name of a function.
    pub caller: String,
    /// Such as `dynamodb:TransactWriteItems`.
    pub action: String,
}

/// A permission that a caller needed. A DynamoDB transaction needs those of its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The access key id: the name of a function.
    pub caller: String,
    /// Such as `dynamodb:PutItem`.
    pub action: String,
    /// The table, index, queue, topic or secret, as the call named it.
    pub resource: String,
}

/// A permission before it is known who needs it: action and resource.
pub(super) type Needed = (String, String);

/// Grows with the kinds of calls, not with their number.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) operations: BTreeMap<Operation, u64>,
    pub(super) permissions: BTreeSet<Permission>,
    /// What DynamoDB consumed; none while nobody wants to know.
    pub(super) units: Option<BTreeMap<Operation, f64>>,
}

impl Record {
    pub(super) fn consume(&mut self, call: &Call, units: f64) {
        let operation = Operation { caller: call.caller.clone(), action: call.service.action(&call.operation) };
        if let Some(known) = &mut self.units {
            *known.entry(operation).or_default() += units;
        }
    }

    pub(super) fn add(&mut self, call: &Call, needed: Vec<Needed>) {
        let operation = Operation { caller: call.caller.clone(), action: call.service.action(&call.operation) };
        *self.operations.entry(operation).or_default() += 1;
        for (action, resource) in needed {
            self.permissions.insert(Permission { caller: call.caller.clone(), action, resource });
        }
    }
}
