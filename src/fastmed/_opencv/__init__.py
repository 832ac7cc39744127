"""OpenCV's call shapes over the functions of the stages; `fastmed.cv2` lists them."""
