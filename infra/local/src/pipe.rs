//! The pipe from the table's stream to the `Notifications` queue. It sends each record of a new event unchanged, and gives
//! all records to the index.

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
    index::Index,
    names::{self, Queue},
    queues::{QueueError, Queues},
};

/// Records per read.
const LIMIT: usize = 1_000;

/// Why the pipe stopped. The next run continues at the same record.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    #[error("could not read the stream: {0}")]
    Stream(#[from] dynoxide::DynoxideError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("could not write a record as JSON: {0}")]
    Record(#[from] serde_json::Error),
    #[error("could not trim the stream: {0}")]
    Trim(#[from] rusqlite::Error),
}

/// The pipe of one table's stream. It continues after the last record that it has read.
///
/// After a restart, it reads the records that are left in the stream: those that were not sent, and the last one that
/// was sent. `notify-reauth` publishes an event once, however often it gets it.
pub(crate) struct Pipe {
    database: Database,
    records: StreamRecords,
    table_name: String,
    queues: Queues,
    index: Index,
    /// The sequence number of the last record that was read. The lock limits the pipe to one reader at a time: two
    /// readers would send every record twice.
    checkpoint: Mutex<Option<String>>,
}

impl Pipe {
    #[must_use]
    pub(crate) fn new(
        database: Database,
        records: StreamRecords,
        table_name: &str,
        queues: Queues,
        index: Index,
    ) -> Self {
        Self { database, records, table_name: table_name.to_owned(), queues, index, checkpoint: Mutex::default() }
    }

    /// Sends the new events of the stream to the queue, and deletes the records that it has read. Returns the number of
    /// records read, including records that are not events. After an error, records that were not sent stay in the
    /// stream.
    pub(crate) async fn poll(&self) -> Result<usize, PipeError> {
        let mut checkpoint = self.checkpoint.lock().await;
        let Some(stream_arn) = self.stream_arn()? else {
            return Ok(0);
        };
        let records = self.records(&stream_arn, checkpoint.clone())?;
        let Some(last) = records.last() else {
            return Ok(0);
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (last, event_id) = (text(&last["dynamodb"]["SequenceNumber"]), text(&last["eventID"]));
        let events = records.iter().filter(|record| is_new_event(record));
        let bodies: Vec<String> = events.map(|record| as_aws_writes_it(record, &stream_arn).to_string()).collect();
        self.queues.send_all(Queue::Notifications, &bodies)?;
        self.index.apply(&records);
        *checkpoint = Some(last);
        self.records.delete_before(&self.table_name, &event_id)?;
        Ok(records.len())
    }

    fn stream_arn(&self) -> Result<Option<String>, PipeError> {
        let request = ListStreamsRequest { table_name: Some(self.table_name.clone()), ..Default::default() };
        Ok(self.database.list_streams(request)?.streams.into_iter().next().map(|stream| stream.stream_arn))
    }

    /// The records after the checkpoint, oldest first.
    fn records(&self, stream_arn: &str, checkpoint: Option<String>) -> Result<Vec<Value>, PipeError> {
        let request = DescribeStreamRequest { stream_arn: stream_arn.to_owned(), ..Default::default() };
        let description = self.database.describe_stream(request)?.stream_description;
        let Some(shard) = description.shards.into_iter().next() else {
            return Ok(Vec::new());
        };
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

/// The pipe's filter: inserts of items whose `SK` begins with `EVENT#`.
fn is_new_event(record: &Value) -> bool {
    record["eventName"] == "INSERT"
        && record["dynamodb"]["Keys"]["SK"]["S"].as_str().is_some_and(|sort_key| sort_key.starts_with("EVENT#"))
}

/// The record in the form of AWS, where the embedded database differs from it.
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
    use digime::ambient::Ambient;

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
        let (database, records) = database::open(None, &Ambient::system()).unwrap();
        TableDefinition::from_template().unwrap().create(&database, "Table").unwrap();
        let queues = queues(&TestClock::new(), QueueSettings::default());
        let index = Index::of(&database, "Table", &Ambient::system()).unwrap();
        let pipe = Pipe::new(database.clone(), records, "Table", queues.clone(), index);
        assert_eq!(pipe.poll().await.unwrap(), 0);

        put(&database, "ACCOUNT#a");
        put(&database, "EVENT#a#0001");
        put(&database, "EVENT#a#0001"); // the same item again would be a MODIFY, had it changed
        put(&database, "EVENT#a#0002");
        while pipe.poll().await.unwrap() > 0 {}

        let records = bodies(&queues);
        let keys: Vec<_> = records.iter().map(|record| &record["dynamodb"]["NewImage"]["SK"]["S"]).collect();
        assert_eq!(keys, ["EVENT#a#0001", "EVENT#a#0002"]);
        assert_eq!(records[0]["eventName"], "INSERT");
        assert_eq!(records[0]["eventSource"], "aws:dynamodb");
        assert_eq!(records[0]["dynamodb"]["NewImage"]["n"], json!({"N": "1"}));

        // All sent records except the last are deleted. The pipe continues where it stopped.
        assert_eq!(pipe.records.count(), 1);
        put(&database, "EVENT#a#0003");
        while pipe.poll().await.unwrap() > 0 {}
        assert_eq!(bodies(&queues).len(), 3);
        assert_eq!(pipe.records.count(), 1);

        // After a restart, a new pipe sends the last record again, and what was not sent yet.
        put(&database, "EVENT#a#0004");
        let pipe = Pipe { checkpoint: Mutex::default(), ..pipe };
        while pipe.poll().await.unwrap() > 0 {}
        let records = bodies(&queues);
        let keys: Vec<_> = records.iter().map(|record| &record["dynamodb"]["NewImage"]["SK"]["S"]).collect();
        assert_eq!(keys, ["EVENT#a#0001", "EVENT#a#0002", "EVENT#a#0003", "EVENT#a#0003", "EVENT#a#0004"]);
    }
}
