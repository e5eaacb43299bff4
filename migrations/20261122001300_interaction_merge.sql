-- What makes interactions independent of the order in which events are processed: every rule below is commutative,
-- associative and idempotent, so one statement may merge a row with the table and with its neighbours alike.

-- The union of two objects. Where both have a key the greater value stays (null is the least). `unavailable` says that
-- Meta had nothing to tell, and goes as soon as one side does not say it.
CREATE FUNCTION merge_interaction_details(known jsonb, added jsonb) RETURNS jsonb
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN CASE
    WHEN known = added THEN known
    ELSE (
      SELECT coalesce(jsonb_object_agg(key, value), '{}')
      FROM (
        SELECT key, (array_agg(value ORDER BY value DESC))[1] AS value, count(*) AS sides
        FROM (SELECT * FROM jsonb_each(known) UNION ALL SELECT * FROM jsonb_each(added)) pair
        GROUP BY key
      ) merged
      WHERE key <> 'unavailable' OR sides = 2
    )
  END;

CREATE AGGREGATE merged_interaction_details(jsonb) (SFUNC = merge_interaction_details, STYPE = jsonb, PARALLEL = SAFE);
