//! Records the calls. Tests use the record to check how many calls a flow makes, and which permissions a function
//! needs.

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

/// A permission that a caller needed. A DynamoDB transaction needs the permissions of its operations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The access key id: the name of a function.
    pub caller: String,
    /// Such as `dynamodb:PutItem`.
    pub action: String,
    /// The table, index, queue, topic or secret, as named in the call.
    pub resource: String,
}

/// The action and the resource of a permission, without the caller.
pub(super) type Needed = (String, String);

/// Its size depends on the number of different calls, not on the number of all calls.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) operations: BTreeMap<Operation, u64>,
    pub(super) permissions: BTreeSet<Permission>,
    /// The consumed capacity units. `None` while they are not counted.
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
