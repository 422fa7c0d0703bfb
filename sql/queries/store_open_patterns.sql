-- How many patterns are open, by severity.
SELECT severity, count(*) AS n FROM detected_patterns WHERE is_active GROUP BY severity
