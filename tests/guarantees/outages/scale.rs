//! An outage of 10,000 accounts.
