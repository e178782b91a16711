-- What the user of the benchmark has: 50 insights of 1.7 KB and 20 conversations of 400 bytes.
--   psql -v user_id=… -f data.sql
insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,
                            practical_application)
select format('John %s:1-4', n), n || repeat(' and there was light', 18), n || repeat(' written in the evening', 17),
       n || repeat(' of one who “speaks”', 19), n || repeat(' and of him who hears', 18)
  from generate_series(1, 50) as n;
insert into user_insights (user_id, insight_id, created_at)
select current_user_id(:'user_id'), id, now() - id * interval '1 hour' from saved_insights;

insert into standalone_chats (user_id, title, passage_reference, passage_text, created_at, updated_at)
select current_user_id(:'user_id'), format('What does “light” mean in %s?', n), format('John %s:1', n),
       n || repeat(' and there was light', 12), now() - n * interval '2 hours', now() - n * interval '1 hour'
  from generate_series(1, 20) as n;
vacuum analyze saved_insights, user_insights, standalone_chats;
