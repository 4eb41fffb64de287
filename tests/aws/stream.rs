//! The table's stream. Its API needs no client of its own for four calls; moto checks no signature.

use aws_sdk_dynamodb::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The stream of a table, and the position up to which its records were read.
pub(crate) struct Stream {
    endpoint: String,
    position: Mutex<String>,
}

impl Stream {
    /// The stream from its beginning.
    pub(crate) async fn open(endpoint: &str, dynamodb: &Client, table: &str) -> Self {
        let table = dynamodb.describe_table().table_name(table).send().await.unwrap().table.unwrap();
        let stream = json!({"StreamArn": table.latest_stream_arn.unwrap()});
        let description = call(endpoint, "DescribeStream", &stream).await;
        let mut request = stream;
        request["ShardId"] = description["StreamDescription"]["Shards"][0]["ShardId"].clone();
        request["ShardIteratorType"] = json!("TRIM_HORIZON");
        let iterator = call(endpoint, "GetShardIterator", &request).await;
        let position = Mutex::new(iterator["ShardIterator"].as_str().unwrap().to_owned());
        Self { endpoint: endpoint.to_owned(), position }
    }

    /// The records since the last call.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let mut position = self.position.lock().await;
        let answer = call(&self.endpoint, "GetRecords", &json!({"ShardIterator": *position})).await;
        *position = answer["NextShardIterator"].as_str().unwrap().to_owned();
        answer["Records"].as_array().unwrap().clone()
    }
}

async fn call(endpoint: &str, operation: &str, body: &Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scope = "Credential=test/20261101/eu-west-1/dynamodb/aws4_request";
    let request = client
        .post(endpoint)
        .header("x-amz-target", format!("DynamoDBStreams_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"));
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{operation}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}
