//! The rings through real sockets on loopback, with clients that share no code with the ring.
//!
//! Where the kernel refuses io_uring every test says so and is skipped.

mod closing;
mod load;
mod protocols;
mod rig;
mod slow;
mod tls;
