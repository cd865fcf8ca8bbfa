//! Remasters the vendor ISO.
