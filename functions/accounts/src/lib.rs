//! Grants, lists, status, history, forgetting a user, taking in a read result over HTTP.
