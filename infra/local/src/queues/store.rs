//! The SQLite file of the queues.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction};

use super::Message;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        message_id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL DEFAULT '{}',
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        first_received_at INTEGER,
        receipt_handle TEXT,
        received_at INTEGER,
        visibility_set INTEGER NOT NULL DEFAULT 0,
        dead_at INTEGER,
        cause TEXT
    );
    CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, dead_at, sequence);
    CREATE INDEX IF NOT EXISTS messages_by_receipt ON messages (receipt_handle) WHERE receipt_handle IS NOT NULL;
    CREATE TABLE IF NOT EXISTS deliveries (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        channel TEXT NOT NULL,
        delivered_at INTEGER NOT NULL,
        message TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event_id);
";

#[derive(Debug, thiserror::Error)]
#[error("could not read or write the queues: {0}")]
pub struct QueueError(#[from] rusqlite::Error);

#[derive(Debug)]
pub(super) struct Store(Mutex<Connection>);

impl Store {
    /// Opens the file. Creates it if it does not exist. Without a path, the store is in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, QueueError> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // If the machine crashes, the last writes can be lost. If only this process crashes, nothing is lost.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        // A file of an earlier version has no such columns.
        for (column, definition) in [
            ("attributes", "TEXT NOT NULL DEFAULT '{}'"),
            ("cause", "TEXT"),
            ("received_at", "INTEGER"),
            ("visibility_set", "INTEGER NOT NULL DEFAULT 0"),
        ] {
            if !connection.column_exists(None, "messages", column)? {
                connection.execute_batch(&format!("ALTER TABLE messages ADD COLUMN {column} {definition}"))?;
            }
        }
        Ok(Self(Mutex::new(connection)))
    }

    /// Runs the closure in one transaction. An error rolls the transaction back.
    pub(super) fn transaction<T>(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        let result = run(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        message_id: row.get("message_id")?,
        receipt_handle: row.get("receipt_handle")?,
        body: row.get("body")?,
        attributes: serde_json::from_str(&row.get::<_, String>("attributes")?).unwrap_or_default(),
        sent_at: timestamp(row.get("sent_at")?),
        receive_count: row.get("receive_count")?,
        first_received_at: row.get::<_, Option<i64>>("first_received_at")?.map(timestamp),
        dead_at: row.get::<_, Option<i64>>("dead_at")?.map(timestamp),
        cause: row.get("cause")?,
    })
}

pub(super) fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond()
}

pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
