-- What retention walks, oldest first: each row is in one index of its pair and changes over when it is emptied, so that
-- nothing is looked at twice. None of these columns changes while an event is processed: updates in place stay possible.
CREATE INDEX webhook_deliveries_full ON webhook_deliveries (received_at, id) WHERE body IS NOT NULL;
CREATE INDEX webhook_deliveries_emptied ON webhook_deliveries (received_at, id) WHERE body IS NULL;
CREATE INDEX webhook_events_full ON webhook_events (received_at, id) WHERE payload IS NOT NULL;
CREATE INDEX webhook_events_emptied ON webhook_events (received_at, id) WHERE payload IS NULL;
