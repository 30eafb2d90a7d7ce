//! Provisioning, init control protocol, slot records (pure).
