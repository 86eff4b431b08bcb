-- The one row, and who counts it up. Deferred to the commit: whoever waits for the row by then needs no other lock.
INSERT INTO "cluster_version" DEFAULT VALUES ON CONFLICT DO NOTHING;
--> statement-breakpoint
CREATE FUNCTION "count_cluster_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE "cluster_version" SET "version" = "version" + 1;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "scheduler_cluster_counted" AFTER INSERT OR UPDATE OR DELETE ON "scheduler_cluster"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "seed_peer_cluster_counted" AFTER INSERT OR UPDATE OR DELETE ON "seed_peer_cluster"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "cluster_link_counted" AFTER INSERT OR UPDATE OR DELETE ON "seed_peer_cluster_scheduler_cluster"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "scheduler_counted" AFTER INSERT OR DELETE ON "scheduler"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
-- A keep-alive counts when it wakes who was inactive, or ends the time of who was active.
CREATE CONSTRAINT TRIGGER "scheduler_change_counted" AFTER UPDATE ON "scheduler"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (
    (OLD."host_name", OLD."ip", OLD."port", OLD."idc", OLD."location", OLD."config", OLD."features", OLD."scheduler_cluster_id")
      IS DISTINCT FROM
    (NEW."host_name", NEW."ip", NEW."port", NEW."idc", NEW."location", NEW."config", NEW."features", NEW."scheduler_cluster_id")
    OR (OLD."active_until" IS NULL AND NEW."active_until" IS NOT NULL)
    OR OLD."active_until" <= NEW."last_keep_alive_at"
    OR NEW."active_until" < OLD."active_until"
  )
  EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "seed_peer_counted" AFTER INSERT OR DELETE ON "seed_peer"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "count_cluster_change"();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "seed_peer_change_counted" AFTER UPDATE ON "seed_peer"
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (
    (OLD."host_name", OLD."type", OLD."ip", OLD."port", OLD."download_port", OLD."object_storage_port", OLD."idc", OLD."location",
      OLD."seed_peer_cluster_id")
      IS DISTINCT FROM
    (NEW."host_name", NEW."type", NEW."ip", NEW."port", NEW."download_port", NEW."object_storage_port", NEW."idc", NEW."location",
      NEW."seed_peer_cluster_id")
    OR (OLD."active_until" IS NULL AND NEW."active_until" IS NOT NULL)
    OR OLD."active_until" <= NEW."last_keep_alive_at"
    OR NEW."active_until" < OLD."active_until"
  )
  EXECUTE FUNCTION "count_cluster_change"();
