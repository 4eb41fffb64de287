//! Works out from read results which accounts lost or regained their authorization.
