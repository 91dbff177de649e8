# Injected with CMAKE_PROJECT_INCLUDE into interface packages that are built for the wheels
# environment, where only Python nodes on Fast DDS use them. The C++ code is half of the compile time
# and nobody there links it. (Introspection for C stays: Fast DDS describes types with it.) A plain
# `colcon build` on a ROS machine does not see this file and builds every language.
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "_cpp:")

# The C++ sources of the Fast DDS type support parse the same large headers in every file.
function(compile_type_support_at_once)
  set(target ${PROJECT_NAME}__rosidl_typesupport_fastrtps_c)
  if(TARGET ${target})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
  endif()
endfunction()
cmake_language(DEFER CALL compile_type_support_at_once)
