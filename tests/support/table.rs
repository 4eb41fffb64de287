//! The table on a DynamoDB that is not the embedded one.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    client::Waiters,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, StreamSpecification,
    },
};
use local::TableDefinition;
use serde_json::Value;

/// AWS takes some seconds to create a table.
const READY: Duration = Duration::from_secs(120);

/// Creates the table as the template defines it, and waits until it is ready.
pub async fn create_table(client: &Client, name: &str) {
    let definition = TableDefinition::from_template().expect("the template's table").create_table;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let schema = |value: &Value| {
        let key = |element: &Value| {
            let kind = &*text(&element["KeyType"]);
            KeySchemaElement::builder()
                .attribute_name(text(&element["AttributeName"]))
                .key_type(kind.into())
                .build()
                .expect("a key")
        };
        list(value).iter().map(key).collect()
    };
    let attribute = |attribute: &Value| {
        let kind = &*text(&attribute["AttributeType"]);
        let attribute = AttributeDefinition::builder().attribute_name(text(&attribute["AttributeName"]));
        attribute.attribute_type(kind.into()).build().expect("an attribute")
    };
    let index = |index: &Value| {
        let kind = &*text(&index["Projection"]["ProjectionType"]);
        let projection = Projection::builder().projection_type(kind.into()).build();
        let named = GlobalSecondaryIndex::builder().index_name(text(&index["IndexName"]));
        named.set_key_schema(Some(schema(&index["KeySchema"]))).projection(projection).build().expect("an index")
    };
    let stream = &*text(&definition["StreamSpecification"]["StreamViewType"]);
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(stream.into()).build();
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(list(&definition["AttributeDefinitions"]).iter().map(attribute).collect()))
        .set_key_schema(Some(schema(&definition["KeySchema"])))
        .set_global_secondary_indexes(Some(list(&definition["GlobalSecondaryIndexes"]).iter().map(index).collect()))
        .stream_specification(stream.expect("a stream"))
        .send()
        .await
        .expect("the table can be made");
    client.wait_until_table_exists().table_name(name).wait(READY).await.expect("the table is ready");
}
