//! The embedded DynamoDB, and a connection that trims its stream records.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use digime::ambient::Ambient;
use dynoxide::Database;
use rusqlite::{Connection, params};

use crate::ids::random_hex;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Dynamodb(#[from] dynoxide::DynoxideError),
    /// The second connection to the file could not be opened.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite requires paths in UTF-8.
    #[error("its path is not UTF-8")]
    Path,
}

/// A second connection to the embedded database's file, which deletes stream records that the pipe has read. The
/// database offers no call for this.
///
/// On AWS, a stream keeps its records for a day. The embedded database keeps them forever and scans all of them on each
/// write: after 100,000 writes it is too slow to use. A second connection may write, because the database takes
/// SQLite's write lock for each of its own writes and waits for the lock.
#[derive(Debug)]
pub(crate) struct StreamRecords(Mutex<Connection>);

pub(crate) fn open(file: Option<&Path>, ambient: &Ambient) -> Result<(Database, StreamRecords), DatabaseError> {
    let name = match file {
        Some(file) => file.to_str().ok_or(DatabaseError::Path)?.to_owned(),
        // An in-memory database with a name, so that both connections of this process can open it.
        None => format!("file:/{}?vfs=memdb", random_hex::<16>(ambient)),
    };
    let database = Database::new(&name)?;
    Ok((database, StreamRecords(Mutex::new(Connection::open(name)?))))
}

impl StreamRecords {
    /// Deletes the table's stream records before the given one. The given record stays, because the database derives
    /// the next sequence number from it.
    pub(crate) fn delete_before(&self, table: &str, event_id: &str) -> rusqlite::Result<usize> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached(
                "DELETE FROM _stream_records
                 WHERE table_name = ?1 AND id < (SELECT id FROM _stream_records WHERE event_id = ?2)",
            )?
            .execute(params![table, event_id])
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.query_row("SELECT COUNT(*) FROM _stream_records", [], |row| row.get(0)).unwrap()
    }
}
