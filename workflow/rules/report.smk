# What people read. Everything here is rendered from the tables; nothing is computed.
