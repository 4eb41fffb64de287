//! What two functions or more of digime-reauth need.
