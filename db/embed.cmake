# Writes ${EMBEDDED}: the SQL of ${MIGRATIONS} and of adopt.sql as bytes of the program, and the table of migrations.
# Their numbers must be 1, 2, 3 and so on, so that a missing or doubled one stops the build.
list(SORT MIGRATIONS)
set(SQL_BYTES "")
set(SQL_ROWS "")
set(SQL_COUNT 0)
foreach(path ${MIGRATIONS})
    get_filename_component(name ${path} NAME_WE)
    math(EXPR SQL_COUNT "${SQL_COUNT} + 1")
    if(NOT name MATCHES "^0*${SQL_COUNT}_[a-z0-9_]+$")
        message(FATAL_ERROR "${path}: migration ${SQL_COUNT} is expected here, as NNNN_name.sql")
    endif()
    string(APPEND SQL_BYTES "SQL(migration_${SQL_COUNT}, \"${path}\");\n")
    string(APPEND SQL_ROWS "    {${SQL_COUNT}, \"${name}\", migration_${SQL_COUNT}},\n")
endforeach()
string(APPEND SQL_BYTES "SQL(adopt_sql, \"${CMAKE_CURRENT_SOURCE_DIR}/adopt.sql\");\n")
configure_file(embedded.c.in ${EMBEDDED} @ONLY)
set_source_files_properties(${EMBEDDED} PROPERTIES
                            OBJECT_DEPENDS "${MIGRATIONS};${CMAKE_CURRENT_SOURCE_DIR}/adopt.sql")
