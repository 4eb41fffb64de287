//! Tests of the stand-ins with the SDK clients that the functions use.

use std::{collections::HashMap, pin::pin};

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem, Update};
use futures::{
    FutureExt as _,
    future::{Either, select},
    poll,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    mails::Mails,
    names::{self, Queue},
    queues::{QueueSettings, testing::*},
    server::{Server, listen},
    table::TableDefinition,
};

struct Harness {
    aws: Aws,
    server: Server,
    queues: Queues,
    topics: Topics,
    secrets: Secrets,
}

impl Harness {
    fn environment(&self) -> reauth_core::config::Environment {
        let variables = [
            ("AWS_REGION", names::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "tester".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_ENDPOINT_URL", self.server.url()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

async fn harness() -> Harness {
    let ambient = TestClock::new().ambient();
    let queues = Queues::open(None, ambient.clone(), QueueSettings::default()).unwrap();
    let topics = Topics::new(&queues, Vec::new(), &ambient);
    let database = Database::memory().unwrap();
    TableDefinition::from_template().unwrap().create(&database, names::TABLE).unwrap();
    let secrets = Secrets::default();
    let mails = Mails::open(queues.clone(), ambient.clone(), None).unwrap();
    let aws = Aws::new(database, secrets.clone(), queues.clone(), topics.clone(), mails, ambient);
    let server = Server::start(listen(0).await.unwrap(), aws.router()).unwrap();
    Harness { aws, server, queues, topics, secrets }
}

macro_rules! client {
    ($harness:expr, $sdk:ident) => {{
        let environment = $harness.environment();
        let config = reauth_core::aws::Aws::new(&environment).unwrap().service("AWS_ENDPOINT_URL").unwrap();
        let retries = aws_smithy_types::retry::RetryConfig::disabled();
        $sdk::Client::from_conf($sdk::config::Builder::from(&config).retry_config(retries).build())
    }};
}

fn key(sort_key: &str) -> HashMap<String, AttributeValue> {
    [("PK", "USER#u"), ("SK", sort_key)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .collect()
}

#[tokio::test]
async fn items_and_transactions_work_and_failed_conditions_say_why() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_dynamodb);
    client.put_item().table_name(names::TABLE).set_item(Some(key("A"))).send().await.unwrap();

    let put = Put::builder().table_name(names::TABLE).set_item(Some(key("B"))).build().unwrap();
    let update = Update::builder()
        .table_name(names::TABLE)
        .set_key(Some(key("A")))
        .update_expression("SET n = :n")
        .condition_expression("attribute_not_exists(PK)")
        .expression_attribute_values(":n", AttributeValue::N("1".to_owned()))
        .build()
        .unwrap();
    let error = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(put).build())
        .transact_items(TransactWriteItem::builder().update(update).build())
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let found = client.get_item().table_name(names::TABLE).set_key(Some(key("B"))).send().await.unwrap();
    assert!(found.item.is_none());

    let needed = |action: &str| Permission {
        caller: "tester".to_owned(),
        action: format!("dynamodb:{action}"),
        resource: "table/digime-reauth".to_owned(),
    };
    let permissions = harness.aws.permissions();
    assert_eq!(permissions, BTreeSet::from([needed("GetItem"), needed("PutItem"), needed("UpdateItem")]));
}

#[tokio::test]
async fn a_condition_that_fails_is_told_apart_from_other_errors() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_dynamodb);
    let put = || client.put_item().table_name(names::TABLE).set_item(Some(key("A")));
    put().send().await.unwrap();
    let error = put().condition_expression("attribute_not_exists(PK)").send().await.unwrap_err();
    assert!(error.into_service_error().is_conditional_check_failed_exception());
    let error = put().table_name("other").send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}

/// A call to the port's router, without a connection: polling it once runs it up to its first wait.
fn dynamodb(operation: &str, body: &Value) -> Call {
    let (caller, operation) = ("tester".to_owned(), operation.to_owned());
    Call { caller, service: Service::DynamoDb, operation, body: body.to_string() }
}

fn put(sort_key: &str) -> Value {
    json!({"TableName": names::TABLE, "Item": {"PK": {"S": "USER#u"}, "SK": {"S": sort_key}, "n": {"N": "1"}}})
}

fn on_key(sort_key: &str) -> Value {
    json!({"TableName": names::TABLE, "Key": {"SK": {"S": sort_key}, "PK": {"S": "USER#u"}}})
}

fn transaction(parts: &[Value]) -> Call {
    dynamodb("TransactWriteItems", &json!({"TransactItems": parts}))
}

fn absent(sort_key: &str) -> Value {
    let mut check = on_key(sort_key);
    check["ConditionExpression"] = json!("attribute_not_exists(PK)");
    json!({"ConditionCheck": check})
}

#[tokio::test]
async fn a_transaction_that_conflicts_with_another_one_is_refused_and_names_the_shared_item() {
    let Harness { aws, .. } = harness().await;
    aws.hold_transactions(Duration::MAX);
    let (first, second) =
        (transaction(&[json!({"Put": put("A")}), absent("B")]), [absent("C"), absent("B"), absent("A")]);
    let mut first = pin!(aws.answer(&first));
    assert!(poll!(&mut first).is_pending());

    let refused = aws.answer(&transaction(&second)).now_or_never().expect("refused at once").unwrap_err();
    let body: Value = serde_json::from_str(&refused.body.unwrap()).unwrap();
    let ongoing = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    assert_eq!(body["CancellationReasons"], json!([{"Code": "None"}, ongoing, ongoing]));
    assert_eq!(
        body["Message"],
        "Transaction cancelled, please refer cancellation reasons for specific reasons \
         [None, TransactionConflict, TransactionConflict]"
    );
    // The refused transaction holds no items.
    let other = transaction(&[absent("C")]);
    let mut other = pin!(aws.answer(&other));
    assert!(poll!(&mut other).is_pending());

    aws.release_transactions();
    first.await.unwrap();
    other.await.unwrap();
    let found = aws.answer(&dynamodb("GetItem", &on_key("A"))).await.unwrap();
    assert!(found.contains("USER#u"), "{found}");
}

#[tokio::test]
async fn a_write_of_an_item_that_a_transaction_holds_is_refused_and_a_read_is_not() {
    let Harness { aws, .. } = harness().await;
    aws.hold_transactions(Duration::MAX);
    let holding = transaction(&[json!({"Put": put("A")}), absent("B")]);
    let mut holding = pin!(aws.answer(&holding));
    assert!(poll!(&mut holding).is_pending());

    for write in [dynamodb("PutItem", &put("A")), dynamodb("UpdateItem", &on_key("B"))] {
        let refused = aws.answer(&write).now_or_never().expect("refused at once").unwrap_err();
        assert_eq!((refused.status, &*refused.code), (400, "TransactionConflictException"));
    }
    let (read, write) = (dynamodb("GetItem", &on_key("A")), dynamodb("PutItem", &put("C")));
    let (mut read, mut write) = (pin!(aws.answer(&read)), pin!(aws.answer(&write)));
    assert!(poll!(&mut read).is_pending() && poll!(&mut write).is_pending());
    aws.release_transactions();
    assert_eq!(read.await.unwrap(), "{}");
    write.await.unwrap();
    holding.await.unwrap();
}

#[tokio::test]
async fn a_transaction_frees_its_items_when_it_ends_and_when_its_caller_gives_up() {
    let Harness { aws, .. } = harness().await;
    aws.hold_transactions(Duration::MAX);
    let given_up = transaction(&[absent("A")]);
    let mut given_up = Box::pin(aws.answer(&given_up));
    assert!(poll!(&mut given_up).is_pending());
    drop(given_up);

    aws.hold_transactions(Duration::from_millis(1));
    aws.answer(&transaction(&[json!({"Put": put("A")})])).await.unwrap();
    aws.answer(&transaction(&[json!({"Delete": on_key("A")})])).await.unwrap();
    aws.answer(&transaction(&[absent("A")])).await.unwrap();
}

#[tokio::test]
async fn of_two_concurrent_transactions_the_later_one_gets_the_conflict() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_dynamodb);
    let check = ConditionCheck::builder()
        .table_name(names::TABLE)
        .set_key(Some(key("A")))
        .condition_expression("attribute_not_exists(PK)")
        .build()
        .unwrap();
    let part = TransactWriteItem::builder().condition_check(check).build();
    let write = || Box::pin(client.transact_write_items().transact_items(part.clone()).send());

    harness.aws.hold_transactions(Duration::from_secs(10));
    let (Either::Left((refused, other)) | Either::Right((refused, other))) = select(write(), write()).await;
    let refused = refused.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        refused,
    ) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.cancellation_reasons()[0].code(), Some("TransactionConflict"));
    harness.aws.release_transactions();
    other.await.unwrap();
}

#[tokio::test]
async fn a_secret_has_a_current_and_a_previous_value() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_secretsmanager);
    let get = |stage: Option<&str>| {
        client.get_secret_value().secret_id("name").set_version_stage(stage.map(str::to_owned)).send()
    };
    let error = get(None).await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");

    harness.secrets.put("name", "one");
    assert_eq!(get(None).await.unwrap().secret_string(), Some("one"));
    let error = get(Some("AWSPREVIOUS")).await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");

    harness.secrets.put("name", "two");
    assert_eq!(get(None).await.unwrap().secret_string(), Some("two"));
    assert_eq!(get(Some("AWSPREVIOUS")).await.unwrap().secret_string(), Some("one"));
}

#[tokio::test]
async fn a_message_that_is_sent_is_on_its_queue() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sqs);
    let url = format!("{}/000000000000/ReadResults", harness.server.url());
    let sent = client.send_message().queue_url(&url).message_body("one").send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("f97c5d29941bfb1b2fdab0874906ab82"));

    let messages = harness.queues.messages(Queue::ReadResults, 10).unwrap();
    let ids: Vec<_> = messages.iter().map(|message| message.message_id.as_str()).collect();
    assert_eq!(ids, [sent.message_id().unwrap()]);
    assert_eq!(messages[0].body, "one");
}

#[tokio::test]
async fn messages_that_sqs_would_refuse_are_refused() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sqs);
    let url = format!("{}/000000000000/ReadResults", harness.server.url());

    let unknown = client.send_message().queue_url("http://x/0/Other").message_body("a").send().await.unwrap_err();
    assert_eq!(unknown.into_service_error().meta().code(), Some("QueueDoesNotExist"));

    let long = "x".repeat(1024 * 1024 + 1);
    let error = client.send_message().queue_url(&url).message_body(long).send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidParameterValue"));

    let error = client.send_message().queue_url(&url).message_body("\u{1}").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_message_contents());

    assert_eq!(harness.queues.depth(Queue::ReadResults).unwrap(), crate::queues::Depth::default());
}

fn text(value: &str) -> aws_sdk_sqs::types::MessageAttributeValue {
    let value = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value(value);
    value.build().unwrap()
}

#[tokio::test]
async fn messages_are_sent_to_a_queue_or_its_dead_letter_queue_with_their_attributes() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sqs);
    let url = |name: &str| format!("{}/000000000000/{name}", harness.server.url());
    let send = client.send_message().queue_url(url("WebhooksDeadLetters")).message_body("one");
    send.message_attributes("eventId", text("evt_1")).send().await.unwrap();
    let entry = |id: &str, body: &str| {
        let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder().id(id).message_body(body);
        entry.message_attributes("eventId", text(id)).build().unwrap()
    };
    let batch = client.send_message_batch().queue_url(url("Webhooks"));
    let sent = batch.entries(entry("a", "two")).entries(entry("b", "\u{1}")).send().await.unwrap();
    assert_eq!((sent.successful().len(), sent.failed()[0].id()), (1, "b"));

    let dead = harness.queues.dead_letters(Queue::Webhooks, 10).unwrap();
    assert_eq!((dead[0].body.as_str(), dead[0].attributes["eventId"].as_str()), ("one", "evt_1"));
    let waiting = harness.queues.messages(Queue::Webhooks, 10).unwrap();
    assert_eq!((waiting[0].body.as_str(), waiting[0].attributes["eventId"].as_str()), ("two", "a"));

    for (name, expected) in [("Webhooks", "1"), ("WebhooksDeadLetters", "1"), ("Notifications", "0")] {
        use aws_sdk_sqs::types::QueueAttributeName::*;
        let asked = client.get_queue_attributes().queue_url(url(name)).attribute_names(ApproximateNumberOfMessages);
        let answer = asked.attribute_names(ApproximateNumberOfMessagesNotVisible).send().await.unwrap();
        let attributes = answer.attributes().unwrap();
        assert_eq!((attributes.len(), attributes[&ApproximateNumberOfMessages].as_str()), (2, expected), "{name}");
    }
}

#[tokio::test]
async fn a_received_message_can_be_hidden_within_the_limits_of_sqs() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sqs);
    harness.queues.send(Queue::Webhooks, "one").unwrap();
    let message = harness.queues.receive(Queue::Webhooks, 1).unwrap().remove(0);
    let handle = message.receipt_handle.as_deref().unwrap();
    let hide = |handle: &str, seconds: i32| {
        let url = format!("{}/000000000000/Webhooks", harness.server.url());
        client.change_message_visibility().queue_url(url).receipt_handle(handle).visibility_timeout(seconds).send()
    };
    hide(handle, 43_200).await.unwrap();
    for seconds in [-1, 43_201] {
        let error = hide(handle, seconds).await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
    }
    let error = hide("another", 1).await.unwrap_err().into_service_error();
    assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
    hide(handle, 0).await.unwrap();
    let error = hide(handle, 1).await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"), "the message is visible again");
}

#[tokio::test]
async fn the_topic_has_what_was_published_with_its_attributes() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sns);
    let attribute = |value: &str| {
        aws_sdk_sns::types::MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    };
    let message = r#"{"a": "<&> ü+%"}"#;
    let sent = client
        .publish()
        .topic_arn(names::arn("sns", names::TOPIC))
        .message(message)
        .message_attributes("eventType", attribute("x"))
        .message_attributes("eventId", attribute("y z"))
        .send()
        .await
        .unwrap();
    let published = harness.topics.notifications.all();
    assert_eq!(published[0].message_id, sent.message_id().unwrap());
    assert_eq!(published[0].message, message);
    assert_eq!(published[0].attributes["eventType"], "x");
    assert_eq!(published[0].attributes["eventId"], "y z");

    client.publish().topic_arn(names::arn("sns", names::ALARM_TOPIC)).message("notice").send().await.unwrap();
    let of_operator = harness.topics.alarms.all();
    assert_eq!((of_operator.len(), of_operator[0].message.as_str()), (1, "notice"));
    assert_eq!(harness.topics.notifications.all().len(), 1);

    let error = client.publish().topic_arn("arn:aws:sns:eu-west-1:0:other").message("a").send().await.unwrap_err();
    assert!(error.into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn operations_that_no_function_uses_are_unknown() {
    let harness = harness().await;
    let error = client!(harness, aws_sdk_sqs).list_queues().send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("UnknownOperationException"));
    let error = client!(harness, aws_sdk_sns).list_topics().send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidAction"));
    let error = client!(harness, aws_sdk_dynamodb).list_backups().send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn faults_happen_as_often_as_asked_before_or_after_the_work() {
    let harness = harness().await;
    let client = client!(harness, aws_sdk_sns);
    let publish = || client.publish().topic_arn(names::arn("sns", names::TOPIC)).message("a").send();

    harness.aws.fail(Fault::refuse("sns:Publish", 2));
    publish().await.unwrap_err();
    publish().await.unwrap_err();
    assert!(harness.topics.notifications.all().is_empty());
    publish().await.unwrap();

    harness.aws.fail(Fault::lose_reply("sns:Publish", 1));
    let error = publish().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
    assert_eq!(harness.topics.notifications.all().len(), 2);

    let operation = Operation { caller: "tester".to_owned(), action: "sns:Publish".to_owned() };
    assert_eq!(harness.aws.operations()[&operation], 4);
}

#[tokio::test]
async fn a_request_without_a_signature_or_from_a_website_is_refused() {
    let harness = harness().await;
    let post = || reqwest::Client::new().post(harness.server.url()).body("Action=Publish");
    assert_eq!(post().send().await.unwrap().status(), 403);
    let signed =
        || post().header("authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/sns/aws4_request, x");
    assert_eq!(signed().send().await.unwrap().status(), 404);
    assert_eq!(signed().header("origin", "https://example.com").send().await.unwrap().status(), 403);
    assert_eq!(signed().header("host", "example.com").send().await.unwrap().status(), 421);
}
