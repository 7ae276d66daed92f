module github.com/freqlimit/dispatcher

go 1.26
