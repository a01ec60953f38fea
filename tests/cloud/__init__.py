"""The library against real servers over loopback."""
