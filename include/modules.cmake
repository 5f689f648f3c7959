# The modules of the library. A row: the module; the modules it uses; the packages it needs itself. A module is a folder
# of include/tessera with its umbrella; error_feedback is that header of encode/, for it alone needs Eigen. Read by
# CMakeLists.txt, by the installed package, and by tests/layers, which compares what comes with a module with what its
# headers include.
set(tessera_modules
    "core           |                                                  | Threads"
    "kernels        |                                                  | xsimd"
    "format         | core kernels                                     |"
    "encode         | core kernels format                              |"
    "error_feedback | core kernels format encode                       | Eigen3"
    "testing        | core format encode                               |"
    "tensor         | core format                                      |"
    "gguf           | core format tensor                               |"
    "json           | core                                             | nlohmann_json"
    "safetensors    | core format tensor json                          |"
    "jinja          | core                                             | nlohmann_json utf8proc"
    "text           | core json jinja                                  | utf8proc"
    "decoder        | core kernels tensor                              | Eigen3"
    "huggingface    | core format tensor json safetensors text decoder |"
    "calibrate      | core kernels error_feedback tensor gguf decoder  | Eigen3"
    "measure        | core kernels tensor decoder                      |"
    "select         | core                                             |"
    "quantize       | format encode decoder calibrate measure select   |"
    "damage         | quantize                                         |"
    "files          | gguf json quantize                               |"
    "app            | huggingface damage files                         |"
)

# tessera_module(ROW NAME USES PACKAGES): the parts of a row, into three variables.
function(tessera_module row name uses packages)
    string(REGEX MATCH "^([a-z_]+) *\\|([^|]*)\\|(.*)$" matched "${row}")
    if(NOT matched)
        message(FATAL_ERROR "include/modules.cmake: wanted \"name | modules | packages\", got \"${row}\"")
    endif()
    separate_arguments(its_uses UNIX_COMMAND "${CMAKE_MATCH_2}")
    separate_arguments(its_packages UNIX_COMMAND "${CMAKE_MATCH_3}")
    set(${name} ${CMAKE_MATCH_1} PARENT_SCOPE)
    set(${uses} ${its_uses} PARENT_SCOPE)
    set(${packages} ${its_packages} PARENT_SCOPE)
endfunction()

# tessera_find_packages(RESULT PACKAGES...): finds them, with targets for those that have none everywhere. RESULT becomes
# the packages that are not there.
macro(tessera_find_packages result)
    set(${result})
    foreach(package IN ITEMS ${ARGN})
        if(package STREQUAL xsimd)  # its package on Debian links a library that does not exist
            find_path(TESSERA_XSIMD_INCLUDE_DIR xsimd/xsimd.hpp)
            mark_as_advanced(TESSERA_XSIMD_INCLUDE_DIR)
            if(NOT TESSERA_XSIMD_INCLUDE_DIR)
                list(APPEND ${result} "xsimd (Debian: libxsimd-dev)")
            elseif(NOT TARGET tessera::xsimd)
                add_library(tessera::xsimd INTERFACE IMPORTED GLOBAL)
                target_include_directories(tessera::xsimd INTERFACE ${TESSERA_XSIMD_INCLUDE_DIR})
            endif()
        elseif(package STREQUAL utf8proc)  # has no CMake package on Debian
            find_path(TESSERA_UTF8PROC_INCLUDE_DIR utf8proc.h)
            find_library(TESSERA_UTF8PROC_LIBRARY utf8proc)
            mark_as_advanced(TESSERA_UTF8PROC_INCLUDE_DIR TESSERA_UTF8PROC_LIBRARY)
            if(NOT TESSERA_UTF8PROC_INCLUDE_DIR OR NOT TESSERA_UTF8PROC_LIBRARY)
                list(APPEND ${result} "utf8proc (Debian: libutf8proc-dev)")
            elseif(NOT TARGET tessera::utf8proc)
                add_library(tessera::utf8proc UNKNOWN IMPORTED GLOBAL)
                set_target_properties(tessera::utf8proc PROPERTIES IMPORTED_LOCATION ${TESSERA_UTF8PROC_LIBRARY})
                target_include_directories(tessera::utf8proc INTERFACE ${TESSERA_UTF8PROC_INCLUDE_DIR})
            endif()
        else()
            find_package(${package} QUIET)
            if(NOT ${package}_FOUND)
                list(APPEND ${result} ${package})
            endif()
        endif()
    endforeach()
endmacro()

# The target of each package.
set(tessera_target_of_Threads Threads::Threads)
set(tessera_target_of_xsimd tessera::xsimd)
set(tessera_target_of_utf8proc tessera::utf8proc)
set(tessera_target_of_Eigen3 Eigen3::Eigen)
set(tessera_target_of_nlohmann_json nlohmann_json::nlohmann_json)
