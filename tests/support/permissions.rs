//! The permissions that each function used, and those that its role in the template allows.

use std::collections::BTreeSet;

use local::{Function, aws::Permission, names};
use serde_json::Value;

/// The permissions that the stand-ins recorded: function, action and resource, with resources named as in the template.
#[must_use]
pub fn used_permissions(permissions: BTreeSet<Permission>) -> BTreeSet<(String, String, String)> {
    let resource = |name: &str| {
        let table = format!("table/{}", names::TABLE);
        match name {
            "ReadResults" | "Notifications" | "Webhooks" | "Emails" | "EmailFeedback" => format!("{name}Queue.Arn"),
            _ if name.ends_with("DeadLetters") => format!("{name}.Arn"),
            _ if name == format!("secret:{}", names::SERVICE_SECRET) => "ServiceSecret".to_owned(),
            _ if name == format!("secret:{}", names::WEBHOOK_SECRET) => "WebhookSecretArn".to_owned(),
            _ if name.starts_with(&format!("secret:{}", names::CONTRACT_SECRET_PREFIX)) => "contracts".to_owned(),
            "identity" => "EmailIdentity".to_owned(),
            _ if name.starts_with("configuration-set/") => "EmailConfigurationSet".to_owned(),
            _ if name.ends_with(names::TOPIC) => "NotificationTopic".to_owned(),
            _ if name.ends_with(names::ALARM_TOPIC) => "AlarmTopic".to_owned(),
            _ => name.replacen(&table, "Table.Arn", 1),
        }
    };
    let ours = |caller: &str| Function::ALL.iter().any(|function| function.name() == caller);
    let permissions = permissions.into_iter().filter(|permission| ours(&permission.caller));
    permissions.map(|permission| (permission.caller, permission.action, resource(&permission.resource))).collect()
}

/// The permissions that the roles allow, without those for logs, traces, the key and the polling of queues.
#[must_use]
pub fn granted_permissions() -> BTreeSet<(String, String, String)> {
    let template = local::template().expect("a template");
    let resources = template["Resources"].as_object().expect("an object");
    let mut granted = BTreeSet::new();
    for (name, function) in resources.iter().filter(|(_, one)| one["Type"] == "AWS::Serverless::Function") {
        let binary = function["Metadata"]["BuildProperties"]["Binary"].as_str().expect("a name");
        let role = &resources[&format!("{name}Role")]["Properties"];
        assert_eq!(function["Properties"]["Role"], format!("{name}Role.Arn"), "{name} has a role of its own");
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"].as_array().expect("a list") {
            // A conditional statement is the second element of `Fn::If`.
            let statement = statement.get(1).unwrap_or(statement);
            // `Fn::Sub` with variables is a list whose first element is the text.
            let resource = statement["Resource"].get(0).unwrap_or(&statement["Resource"]);
            let resource = resource.as_str().expect("one resource in each statement");
            let resource = match resource {
                _ if resource.contains(":secret:${ContractSecretPrefix}") => "contracts".to_owned(),
                _ if resource.contains(":identity/") => "EmailIdentity".to_owned(),
                _ if resource.contains(":configuration-set/") => "EmailConfigurationSet".to_owned(),
                _ => resource.replace("${Table.Arn}", "Table.Arn"),
            };
            let actions: Vec<_> =
                statement["Action"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            // Lambda polls a queue with the role of its function.
            let is_source = actions.contains(&"sqs:ReceiveMessage");
            for action in actions {
                let of_polling = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
                let polling = is_source && of_polling.contains(&action);
                let besides = ["logs:", "xray:", "kms:"].iter().any(|service| action.starts_with(service));
                if !(besides || polling) {
                    granted.insert((binary.to_owned(), action.to_owned(), resource.clone()));
                }
            }
        }
    }
    granted
}
