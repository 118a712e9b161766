"""The window: docks, menus, the session, and who hears whom."""
