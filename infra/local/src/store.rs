//! The SQLite file with the state of the stand-ins: the queues, the published messages, and the pipe's checkpoint in
//! the stream.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, Transaction};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        message_id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        sender TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        first_received_at INTEGER,
        receipt_handle TEXT,
        dead_at INTEGER
    );
    CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, dead_at, sequence);
    CREATE TABLE IF NOT EXISTS publications (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id TEXT NOT NULL,
        message TEXT NOT NULL,
        attributes TEXT NOT NULL,
        published_at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS checkpoints (
        stream TEXT PRIMARY KEY,
        sequence_number TEXT NOT NULL
    );
";

#[derive(Debug, thiserror::Error)]
#[error("could not read or write the local system's database: {0}")]
pub struct StoreError(#[from] rusqlite::Error);

#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the file. Creates it if it does not exist.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // If the machine crashes, the last writes can be lost. If only this process crashes, nothing is lost.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Self::with_schema(connection)
    }

    /// A store in memory.
    pub fn memory() -> Result<Self, StoreError> {
        Self::with_schema(Connection::open_in_memory()?)
    }

    fn with_schema(connection: Connection) -> Result<Self, StoreError> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs the closure in one transaction. An error rolls the transaction back.
    pub(crate) fn transaction<T>(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        let result = run(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}
