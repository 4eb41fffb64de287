//! The pipe from the table's stream to the queue of notifications: new events only, each record as it is.

use dynoxide::{
    Database,
    actions::{
        describe_stream::DescribeStreamRequest, get_records::GetRecordsRequest,
        get_shard_iterator::GetShardIteratorRequest, list_streams::ListStreamsRequest,
    },
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    database::StreamRecords,
    names::{self, Queue},
    queues::{NewMessage, Queues},
    store::StoreError,
};

/// How many records are read at once.
const LIMIT: usize = 1_000;

/// Why the pipe could not go on. It tries again where it stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipeError {
    /// The stream could not be read.
    #[error("the stream cannot be read: {0}")]
    Stream(#[from] dynoxide::DynoxideError),
    /// The queue could not be written.
    #[error(transparent)]
    Queue(#[from] StoreError),
    /// A record has no JSON form.
    #[error("a record cannot be written as JSON: {0}")]
    Record(#[from] serde_json::Error),
    /// What was moved could not be forgotten.
    #[error("the stream cannot be trimmed: {0}")]
    Trim(#[from] rusqlite::Error),
}

/// Reads the stream of one table where it left off.
pub(crate) struct Pipe {
    database: Database,
    records: StreamRecords,
    table_name: String,
    queues: Queues,
    /// One reader at a time: two would send everything twice.
    gate: Mutex<()>,
}

impl Pipe {
    /// The pipe from that table to the queue of notifications.
    #[must_use]
    pub(crate) fn new(database: Database, records: StreamRecords, table_name: &str, queues: Queues) -> Self {
        Self { database, records, table_name: table_name.to_owned(), queues, gate: Mutex::default() }
    }

    /// Moves what is new in the stream, which then forgets it. Gives how many records it read, events or not.
    ///
    /// # Errors
    /// [`PipeError`]; what was not moved stays in the stream.
    pub(crate) async fn pump(&self) -> Result<usize, PipeError> {
        let _one_at_a_time = self.gate.lock().await;
        let Some(stream_arn) = self.stream_arn()? else {
            return Ok(0);
        };
        let records = self.records(&stream_arn)?;
        let Some(last) = records.last() else {
            return Ok(0);
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (last, event_id) = (text(&last["dynamodb"]["SequenceNumber"]), text(&last["eventID"]));
        let messages: Vec<NewMessage> = records
            .iter()
            .filter(|record| is_new_event(record))
            .map(|record| NewMessage {
                body: as_aws_writes_it(record, &stream_arn).to_string(),
                sender: "pipe".to_owned(),
                ..NewMessage::default()
            })
            .collect();
        self.queues.send_from_stream(Queue::Notifications, &messages, &stream_arn, &last)?;
        self.records.forget_before(&self.table_name, &event_id)?;
        Ok(records.len())
    }

    fn stream_arn(&self) -> Result<Option<String>, PipeError> {
        let request = ListStreamsRequest { table_name: Some(self.table_name.clone()), ..Default::default() };
        Ok(self.database.list_streams(request)?.streams.into_iter().next().map(|stream| stream.stream_arn))
    }

    /// The records after the checkpoint, oldest first.
    fn records(&self, stream_arn: &str) -> Result<Vec<Value>, PipeError> {
        let request = DescribeStreamRequest { stream_arn: stream_arn.to_owned(), ..Default::default() };
        let description = self.database.describe_stream(request)?.stream_description;
        let Some(shard) = description.shards.into_iter().next() else {
            return Ok(Vec::new());
        };
        let checkpoint = self.queues.checkpoint(stream_arn)?;
        let request = GetShardIteratorRequest {
            stream_arn: stream_arn.to_owned(),
            shard_id: shard.shard_id,
            shard_iterator_type: match checkpoint {
                Some(_) => "AFTER_SEQUENCE_NUMBER".to_owned(),
                None => "TRIM_HORIZON".to_owned(),
            },
            sequence_number: checkpoint,
        };
        let Some(shard_iterator) = self.database.get_shard_iterator(request)?.shard_iterator else {
            return Ok(Vec::new());
        };
        let request = GetRecordsRequest { shard_iterator, limit: Some(LIMIT) };
        let records = self.database.get_records(request)?.records;
        Ok(records.iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
    }
}

/// The filter of the pipe: items that are new, and events.
fn is_new_event(record: &Value) -> bool {
    record["eventName"] == "INSERT"
        && record["dynamodb"]["Keys"]["SK"]["S"].as_str().is_some_and(|sort_key| sort_key.starts_with("EVENT#"))
}

/// The record with what the embedded database puts differently than AWS does.
fn as_aws_writes_it(record: &Value, stream_arn: &str) -> Value {
    let mut record = record.clone();
    record["awsRegion"] = json!(names::REGION);
    record["eventSourceARN"] = json!(stream_arn);
    if let Some(seconds) = record["dynamodb"]["ApproximateCreationDateTime"].as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
        let whole = seconds as i64;
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(whole);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database,
        queues::{QueueSettings, testing::*},
        table::TableDefinition,
    };

    fn put(database: &Database, sort_key: &str) {
        let item = json!({"PK": {"S": "USER#u"}, "SK": {"S": sort_key}, "n": {"N": "1"}});
        let request = serde_json::from_value(json!({"TableName": "Table", "Item": item})).unwrap();
        database.put_item(request).unwrap();
    }

    fn bodies(queues: &Queues) -> Vec<Value> {
        let messages = queues.messages(Queue::Notifications, 100).unwrap();
        messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }

    #[tokio::test]
    async fn new_events_and_nothing_else_reach_the_queue_once() {
        let (database, records) = database::open(None).unwrap();
        TableDefinition::from_template().unwrap().create(&database, "Table").unwrap();
        let queues = queues(&TestClock::new(), QueueSettings::default());
        let pipe = Pipe::new(database.clone(), records, "Table", queues.clone());
        assert_eq!(pipe.pump().await.unwrap(), 0);

        put(&database, "ACCOUNT#a");
        put(&database, "EVENT#a#0001");
        put(&database, "EVENT#a#0001"); // the same item again would be a MODIFY, had it changed
        put(&database, "EVENT#a#0002");
        while pipe.pump().await.unwrap() > 0 {}

        let records = bodies(&queues);
        let keys: Vec<_> = records.iter().map(|record| &record["dynamodb"]["NewImage"]["SK"]["S"]).collect();
        assert_eq!(keys, ["EVENT#a#0001", "EVENT#a#0002"]);
        assert_eq!(records[0]["eventName"], "INSERT");
        assert_eq!(records[0]["eventSource"], "aws:dynamodb");
        assert_eq!(records[0]["dynamodb"]["NewImage"]["n"], json!({"N": "1"}));

        // What was moved is forgotten, but for the last record. A new pipe goes on where the old one stopped.
        assert_eq!(pipe.records.count(), 1);
        put(&database, "EVENT#a#0003");
        let read = pipe.records(&pipe.stream_arn().unwrap().unwrap()).unwrap();
        pipe.records.forget_before("Table", read[0]["eventID"].as_str().unwrap()).unwrap();
        assert_eq!(pipe.records.count(), 1, "what was not moved yet stays");
        let pipe = Pipe { gate: Mutex::default(), ..pipe };
        while pipe.pump().await.unwrap() > 0 {}
        assert_eq!(bodies(&queues).len(), 3);
    }
}
