-- How many patterns are open, by severity.
SELECT severity, count(*) AS n FROM open_patterns GROUP BY severity
