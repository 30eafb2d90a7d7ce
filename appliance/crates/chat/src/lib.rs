//! The pure chat core: users, rooms, sessions, delivery, limits.
