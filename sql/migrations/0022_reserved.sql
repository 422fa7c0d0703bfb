-- Holds the number of a migration of another branch: that file takes this one's place.
SELECT true;
