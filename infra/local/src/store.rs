//! The SQLite file that holds what AWS would hold beside the table: queues, published messages, the pipe's place in
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

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the local system's own database: {0}")]
pub struct StoreError(#[from] rusqlite::Error);

/// The open file.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the machine may lose the last moments; a crash of this process loses nothing.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Self::with_schema(connection)
    }

    /// One that is gone when it is dropped.
    pub fn memory() -> Result<Self, StoreError> {
        Self::with_schema(Connection::open_in_memory()?)
    }

    fn with_schema(connection: Connection) -> Result<Self, StoreError> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs the closure in one transaction, which is undone when it fails.
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
