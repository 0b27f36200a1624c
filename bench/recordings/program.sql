-- What sqlite3.hkos was recorded of.
create table item(id integer primary key, name text, price real);
insert into item select value, 'item ' || (value * 7919 % 100003), value * 0.37
  from (with recursive counter(value) as (select 1 union all select value + 1 from counter where value < 60000)
        select value from counter);
create index by_name on item(name);
create table total as select substr(name, 1, 7) as prefix, count(*) as n, sum(price) as s from item group by 1;
select count(*), sum(n) from total;
select count(*) from item a join item b on a.name = b.name where a.id < 20000;
update item set name = name || ' x' where id % 3 = 0;
delete from item where id % 5 = 0;
select group_concat(name) is not null from item;
drop table item;
drop table total;
